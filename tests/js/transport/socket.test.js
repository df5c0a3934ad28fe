import assert from "node:assert/strict"
import { test } from "node:test"

import { ChatSocket } from "../../../static/js/transport/socket.js"
import { FakeSocket, FakeTime, READY, TIMINGS } from "../fakes.js"

function startSocket() {
  const time = new FakeTime()
  const connections = []
  const frames = []
  const states = []
  const socket = new ChatSocket({
    connect: () => connections[connections.push(new FakeSocket()) - 1],
    clock: time.clock,
    timers: time.timers,
    random: () => 0,
    handshakeMs: TIMINGS.handshake_ms,
    onFrame: (frame) => frames.push(frame.type),
    onStatus: ({ state, code }) => states.push(code === null ? state : `${state} ${code}`),
  })
  socket.start()
  return { socket, time, connections, frames, states }
}

function startReadySocket() {
  const all = startSocket()
  all.connections[0].receives(READY)
  return all
}

test("nothing is sent before the server is ready", () => {
  const { socket, connections } = startSocket()

  assert.equal(socket.send({ type: "ping" }), false)
  assert.deepEqual(connections[0].sent, [])
})

test("after ready frames go out and come in", () => {
  const { socket, connections, frames } = startReadySocket()

  connections[0].receives({ type: "warmth" })

  assert.equal(socket.send({ type: "reply.stop" }), true)
  assert.deepEqual(connections[0].sent, [{ type: "reply.stop" }])
  assert.deepEqual(frames, ["ready", "warmth"])
})

test("a quiet connection is pinged at the server's interval, and a pong is nobody's business", () => {
  const { connections, frames, time } = startReadySocket()

  time.advance(TIMINGS.ping_interval_ms)
  connections[0].receives({ type: "pong" })
  time.advance(TIMINGS.ping_interval_ms)

  assert.deepEqual(connections[0].sent, [{ type: "ping" }, { type: "ping" }])
  assert.deepEqual(frames, ["ready"])
})

test("a connection without any frame for too long is dropped and replaced", () => {
  const { connections, states, time } = startReadySocket()

  time.advance(TIMINGS.dead_after_ms)
  time.advance(500)

  assert.equal(connections[0].isClosed, true)
  assert.equal(connections.length, 2)
  assert.deepEqual(states, ["connecting", "ready", "waiting 1006", "connecting"])
})

test("any frame keeps a connection alive", () => {
  const { connections, time } = startReadySocket()

  for (let count = 0; count < 10; count += 1) {
    time.advance(TIMINGS.dead_after_ms - 1)
    connections[0].receives({ type: "warmth" })
  }

  assert.equal(connections.length, 1)
})

test("a handshake that never ends is given up", () => {
  const { connections, time } = startSocket()

  time.advance(TIMINGS.handshake_ms + 500)

  assert.equal(connections.length, 2)
})

test("waits grow while nothing answers and start small again after ready", () => {
  const { connections, time } = startSocket()
  const fail = () => connections.at(-1).isClosedWith(1006)
  fail()
  time.advance(500)
  fail()
  time.advance(500)
  connections.at(-1).receives(READY)

  fail()
  time.advance(500)

  assert.equal(connections.length, 4)
})

for (const code of [4401, 4403, 4409]) {
  test(`after ${code} the page does not come back`, () => {
    const { connections, states, time } = startReadySocket()

    connections[0].isClosedWith(code)
    time.advance(3_600_000)

    assert.equal(connections.length, 1)
    assert.equal(states.at(-1), `ended ${code}`)
    assert.equal(time.waiting, 0)
  })
}

for (const code of [4408, 4412, 4413, 1006]) {
  test(`after ${code} the page comes back`, () => {
    const { connections, time } = startReadySocket()

    connections[0].isClosedWith(code)
    time.advance(500)

    assert.equal(connections.length, 2)
  })
}

test("when the network is back a waiting page connects at once", () => {
  const { socket, connections } = startReadySocket()
  connections[0].isClosedWith(1006)

  socket.wake()

  assert.equal(connections.length, 2)
})

test("a page that was asleep for long does not trust its old connection", () => {
  const { socket, connections, time } = startReadySocket()
  time.now += TIMINGS.dead_after_ms * 10

  socket.wake()
  time.advance(500)

  assert.equal(connections.length, 2)
})

test("on waking up a live connection answers the probe and stays", () => {
  const { socket, connections, time } = startReadySocket()
  time.advance(10_000)

  socket.wake()
  connections[0].receives({ type: "pong" })
  time.advance(5_000)

  assert.deepEqual(connections[0].sent, [{ type: "ping" }])
  assert.equal(connections.length, 1)
})

test("on waking up a dead connection is found out within ten seconds", () => {
  const { socket, connections, time } = startReadySocket()
  time.advance(10_000)

  socket.wake()
  time.advance(10_000)

  assert.equal(connections.length, 2)
})

test("words of a connection that was given up are not heard any more", () => {
  const { connections, frames, time } = startReadySocket()
  const { onmessage } = connections[0]
  time.advance(TIMINGS.dead_after_ms + 500)

  onmessage({ data: '{"type": "warmth"}' })

  assert.deepEqual(frames, ["ready"])
})

test("a frame in parts is one frame, and a new connection knows nothing of an old one's parts", () => {
  const { connections, frames, time } = startReadySocket()
  const text = JSON.stringify({ type: "conversation.state" })
  const part = (number, piece) => ({ type: "frame.part", frame: 1, part: number, parts: 2, text: piece })

  connections[0].receives(part(1, text.slice(0, 10)))
  connections[0].isClosedWith(1006)
  time.advance(1_000)
  connections[1].receives(READY)
  connections[1].receives(part(1, text.slice(0, 5)))
  connections[1].receives(part(2, text.slice(5)))

  assert.deepEqual(frames, ["ready", "ready", "conversation.state"])
})

test("a socket has ended when the server says that coming back is useless", () => {
  const { socket, connections } = startReadySocket()

  connections[0].isClosedWith(1006)
  assert.equal(socket.isEnded, false)
})

test("a socket that is signed out has ended", () => {
  const { socket, connections } = startReadySocket()

  connections[0].isClosedWith(4401)

  assert.equal(socket.isEnded, true)
})
