/**
 * One running reply as far as this page has it: frames in, blocks out. Frames are numbered by `seq` within an
 * `epoch`; duplicates are dropped, and a gap is reported, because a reply with a gap must never be shown.
 */
export class StreamBuffer {
  #blocks = new Map()
  #seq
  #isFinished = false

  /** A block is `{ block, kind, name, text, state }`, as in `conversation.state`. */
  constructor({ replyId, epoch, seq = 0, blocks = [] }) {
    this.replyId = replyId
    this.epoch = epoch
    this.#seq = seq
    for (const block of blocks) this.#blocks.set(block.block, { ...block })
  }

  static fromSnapshot({ reply_id, epoch, seq, blocks }) {
    return new StreamBuffer({ replyId: reply_id, epoch, seq, blocks })
  }

  get blocks() {
    return [...this.#blocks.values()]
  }

  get isFinished() {
    return this.#isFinished
  }

  get seq() {
    return this.#seq
  }

  /** The cursor to send to the server after a reconnect. */
  get cursor() {
    return { reply_id: this.replyId, epoch: this.epoch, after_seq: this.#seq }
  }

  /** Takes a frame of this reply and returns what it was: `applied`, `duplicate` or `gap`. */
  apply(frame) {
    if (frame.epoch !== this.epoch) return "gap"
    if (frame.seq <= this.#seq) return "duplicate"
    if (frame.seq !== this.#seq + 1) return "gap"
    this.#seq = frame.seq
    this.#take(frame)
    return "applied"
  }

  #take(frame) {
    if (frame.type === "reply.delta") this.#at(frame).text += frame.text
    else if (frame.type === "reply.block") Object.assign(this.#at(frame), { name: frame.name, state: frame.state })
    else if (frame.type === "reply.finished") this.#isFinished = true
  }

  #at({ block, kind }) {
    if (!this.#blocks.has(block)) this.#blocks.set(block, { block, kind, name: "", text: "", state: "start" })
    return this.#blocks.get(block)
  }
}
