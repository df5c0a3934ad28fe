import { parseFrame } from "./protocol.js"

/** Joins the parts of large frames: one joiner for each connection. */
export class FrameJoiner {
  #waiting = new Map()

  /** Returns `{ frame, bytes }` if a frame is complete now; null if parts are missing, or it is no frame. */
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
