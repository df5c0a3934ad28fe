import { parseFrame } from "./protocol.js"

/** Puts large frames together again, which come in parts: one joiner for each connection. */
export class FrameJoiner {
  #waiting = new Map()

  /** Gives `{ frame, bytes }` where a frame is whole now; null while more of it is on its way, or it is none. */
  take(frame, bytes) {
    if (frame.type !== "frame.part") return { frame, bytes }
    const pieces = this.#waiting.get(frame.frame) ?? []
    this.#waiting.set(frame.frame, pieces)
    pieces.push({ text: frame.text, bytes })
    if (frame.part < frame.parts) return null
    this.#waiting.delete(frame.frame)
    const whole = parseFrame(pieces.map(({ text }) => text).join(""))
    return whole === null ? null : { frame: whole, bytes: pieces.reduce((sum, piece) => sum + piece.bytes, 0) }
  }
}
