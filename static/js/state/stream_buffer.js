/**
 * One running reply as far as this page has it: frames in, blocks out. Frames are numbered by `seq` within an
 * `epoch`; duplicates are dropped, and a gap is reported, because a reply with a gap must never be shown.
 */
export class StreamBuffer {
  #blocks = new Map()
  #seq
  #isFinished = false

  /** A block is `{ block, kind, name, text, state, data }`, as in `conversation.state`. */
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
    else if (frame.type === "reply.block") this.#noteBlock(frame)
    else if (frame.type === "reply.finished") this.#isFinished = true
  }

  // The name is told at the start only.
  #noteBlock(frame) {
    const block = this.#at(frame)
    Object.assign(block, { name: frame.name || block.name, state: frame.state, data: frame.data })
  }

  #at({ block, kind }) {
    if (!this.#blocks.has(block))
      this.#blocks.set(block, { block, kind, name: "", text: "", state: "start", data: null })
    return this.#blocks.get(block)
  }
}
