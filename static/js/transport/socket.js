import { backoffDelayMs } from "./backoff.js"
import { FrameJoiner } from "./frame_joiner.js"
import { CloseCode, mayReconnectAfter, parseFrame, ping } from "./protocol.js"

// After the machine slept, the socket often looks open but is dead; a person who returns to the page should not have to
// wait for `dead_after_ms`.
const WAKE_PROBE_MS = 4_000

/**
 * One connection that reconnects by itself. It ends only when the server says that reconnecting is useless.
 * `onStatus` gets `{ state, code }`: `connecting`, `ready`, `waiting` (for the next attempt) or `ended`.
 */
export class ChatSocket {
  #connect
  #clock
  #timers
  #random
  #handshakeMs
  #onFrame
  #onStatus
  #socket = null
  #state = "idle"
  #attempt = 0
  #retryTimer = null
  #pingTimer = null
  #deadTimer = null
  #timings = null
  #lastFrameAt = 0
  #joiner = null

  /** `connect()` opens and returns a WebSocket; `onFrame(frame, bytes)` gets every complete frame, also `ready`. */
  constructor({ connect, clock, timers, random, handshakeMs, onFrame, onStatus }) {
    this.#handshakeMs = handshakeMs
    this.#connect = connect
    this.#clock = clock
    this.#timers = timers
    this.#random = random
    this.#onFrame = onFrame
    this.#onStatus = onStatus
  }

  get isReady() {
    return this.#state === "ready"
  }

  /** There will be no more connection. */
  get isEnded() {
    return this.#state === "ended"
  }

  start() {
    this.#clearTimers()
    const socket = this.#connect()
    this.#socket = socket
    this.#joiner = new FrameJoiner()
    this.#become("connecting")
    this.#deadTimer = this.#timers.set(() => this.#drop(), this.#handshakeMs)
    socket.onmessage = (event) => socket === this.#socket && this.#received(event.data)
    socket.onclose = (event) => socket === this.#socket && this.#closed(event.code)
  }

  /** Returns whether the frame was sent: the outbox keeps what must not be lost. */
  send(frame) {
    if (!this.isReady) return false
    this.#socket.send(JSON.stringify(frame))
    return true
  }

  /** The network or the person is back: reconnects without waiting any longer. */
  wake() {
    if (this.#state === "waiting") this.start()
    else if (this.isReady) this.#probe()
  }

  #received(data) {
    const received = parseFrame(data)
    if (received === null) return
    this.#lastFrameAt = this.#clock()
    if (received.type === "ready") this.#becomeReady(received)
    if (this.isReady) this.#expectLife()
    const whole = this.#joiner.take(received, data.length)
    if (whole !== null && whole.frame.type !== "pong") this.#onFrame(whole.frame, whole.bytes)
  }

  #becomeReady({ timings }) {
    this.#timings = timings
    this.#attempt = 0
    this.#become("ready")
  }

  // Each frame restarts it: in a hidden tab, browsers slow timers that restart themselves down to one a minute.
  #expectLife() {
    this.#clearTimers()
    this.#pingTimer = this.#timers.set(() => this.send(ping()), this.#timings.ping_interval_ms)
    this.#deadTimer = this.#timers.set(() => this.#drop(), this.#timings.dead_after_ms)
  }

  #probe() {
    if (this.#clock() - this.#lastFrameAt >= this.#timings.dead_after_ms) return this.#drop()
    this.#timers.clear(this.#deadTimer)
    this.#deadTimer = this.#timers.set(() => this.#drop(), WAKE_PROBE_MS)
    this.send(ping())
  }

  // A dead peer does not answer the closing handshake either, so `onclose` would come a minute late.
  #drop() {
    const socket = this.#socket
    this.#socket = null
    socket.onmessage = socket.onclose = null
    socket.close()
    this.#closed(1006)
  }

  #closed(code) {
    this.#clearTimers()
    this.#socket = null
    if (!mayReconnectAfter(code)) return this.#become("ended", code)
    const delayMs = backoffDelayMs(this.#attempt++, this.#random)
    this.#become("waiting", code)
    this.#retryTimer = this.#timers.set(() => this.start(), delayMs)
  }

  #become(state, code = null) {
    this.#state = state
    this.#onStatus({ state, code, isSignedOut: code === CloseCode.signedOut })
  }

  #clearTimers() {
    for (const timer of [this.#retryTimer, this.#pingTimer, this.#deadTimer]) {
      if (timer !== null) this.#timers.clear(timer)
    }
    this.#retryTimer = this.#pingTimer = this.#deadTimer = null
  }
}
