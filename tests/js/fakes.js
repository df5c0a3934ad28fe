// Fakes that the tests share: time that moves by hand, a storage, a socket, and chance that does not surprise.

/** A clock and timers. `now` and `advance(ms)` in milliseconds; due timers run in order, each at its own time. */
export class FakeTime {
  now = 0
  #timers = new Map()
  #nextId = 1
  clock = () => this.now

  timers = {
    set: (callback, delayMs) => {
      const id = this.#nextId++
      this.#timers.set(id, { at: this.now + delayMs, callback })
      return id
    },
    clear: (id) => this.#timers.delete(id),
  }

  get waiting() {
    return this.#timers.size
  }

  advance(ms) {
    const end = this.now + ms
    for (let next = this.#nextDue(end); next !== null; next = this.#nextDue(end)) {
      const [id, { at, callback }] = next
      this.#timers.delete(id)
      this.now = at
      callback()
    }
    this.now = end
  }

  #nextDue(end) {
    const due = [...this.#timers].filter(([, { at }]) => at <= end)
    return due.sort(([a, x], [b, y]) => x.at - y.at || a - b)[0] ?? null
  }
}

export class FakeStorage {
  #items = new Map()

  get length() {
    return this.#items.size
  }

  key(index) {
    return [...this.#items.keys()][index]
  }

  getItem(key) {
    return this.#items.get(key) ?? null
  }

  setItem(key, value) {
    this.#items.set(key, value)
  }

  removeItem(key) {
    this.#items.delete(key)
  }
}

/** A storage that a browser refuses, as in some private windows. */
export function openForbidden() {
  throw new DOMException("refused", "SecurityError")
}

export class FakeSocket {
  sent = []
  isClosed = false
  onmessage = null
  onclose = null

  send(text) {
    this.sent.push(JSON.parse(text))
  }

  close() {
    this.isClosed = true
  }

  receives(frame) {
    this.onmessage({ data: JSON.stringify(frame) })
  }

  isClosedWith(code) {
    this.onclose({ code })
  }
}

/** Numbers in [0, 1) that are the same in every run (mulberry32). */
export function seededRandom(seed) {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}

export const CONVERSATION = "11111111-1111-4111-8111-111111111111"
export const REPLY = "22222222-2222-4222-8222-222222222222"
export const QUESTION = "33333333-3333-4333-8333-333333333333"

export const TIMINGS = {
  typing_repeat_ms: 2000,
  typing_idle_ms: 5000,
  ping_interval_ms: 15_000,
  dead_after_ms: 35_000,
  ack_interval_ms: 250,
  handshake_ms: 20_000,
  ack_timeout_ms: 15_000,
}

export const LIMITS = { frame_bytes: 262_144, text_chars: 100_000, ack_bytes: 1000 }

export const READY = {
  type: "ready",
  protocol: 1,
  user: { id: 7 },
  timings: TIMINGS,
  limits: LIMITS,
  upstream: "simulator",
}

export const delta = (seq, text, fields = {}) => ({
  type: "reply.delta",
  reply_id: REPLY,
  epoch: "e1",
  seq,
  kind: "text",
  block: 0,
  text,
  ...fields,
})

export const finished = (seq, fields = {}) => ({
  type: "reply.finished",
  reply_id: REPLY,
  epoch: "e1",
  seq,
  status: "complete",
  stop_reason: "end_turn",
  error: null,
  usage: null,
  warmth: "hit",
  ttft_ms: 400,
  cost_usd: "0.01",
  warm_up_id: null,
  ...fields,
})

/** Answers every request with the same response, `{ ok, type, body }`, or with an error. `calls` are `{ url, options }`. */
export class FakeFetch {
  calls = []
  #answer

  constructor(answer) {
    this.#answer = answer
  }

  fetch = async (url, options) => {
    this.calls.push({ url, options })
    if (this.#answer instanceof Error) throw this.#answer
    const { ok, type = "", body = null } = this.#answer
    return { ok, headers: new Headers({ "Content-Type": type }), json: async () => body }
  }
}
