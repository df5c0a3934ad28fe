import assert from "node:assert/strict"
import { test } from "node:test"

import { ConversationRequests } from "../../../static/js/transport/conversation_requests.js"
import { CONVERSATION, FakeFetch } from "../fakes.js"

const requestsOver = (server) => new ConversationRequests({ base: "/c/", csrfToken: "token", fetch: server.fetch })

test("a new name is posted to the conversation with the page's token", async () => {
  const server = new FakeFetch({ ok: true })

  const isDone = await requestsOver(server).rename(CONVERSATION, "A better title")

  assert.equal(isDone, true)
  const [{ url, options }] = server.calls
  assert.equal(url, `/c/${CONVERSATION}/rename/`)
  assert.equal(options.method, "POST")
  assert.equal(options.headers["X-CSRFToken"], "token")
  assert.equal(options.body.get("title"), "A better title")
})

test("a deletion names the conversation and nothing else", async () => {
  const server = new FakeFetch({ ok: true })

  assert.equal(await requestsOver(server).delete(CONVERSATION), true)

  const [{ url, options }] = server.calls
  assert.equal(url, `/c/${CONVERSATION}/delete/`)
  assert.equal([...options.body.keys()].length, 0)
})

test("a server that refuses, or is not there, has not done it", async () => {
  assert.equal(await requestsOver(new FakeFetch({ ok: false })).delete(CONVERSATION), false)
  assert.equal(await requestsOver(new FakeFetch(new TypeError("no network"))).rename(CONVERSATION, "x"), false)
})

test("a link is asked for with its days, and the answer has it or says why not", async () => {
  const server = new FakeFetch({ ok: true, body: { url: "https://chat.example/shared/abc/" } })
  const refusing = new FakeFetch({ ok: false, body: { message: "There is nothing to share here yet." } })

  const made = await requestsOver(server).share(CONVERSATION, 30)
  const refused = await requestsOver(refusing).share(CONVERSATION, 30)
  const lost = await requestsOver(new FakeFetch(new TypeError("no network"))).share(CONVERSATION, 30)

  assert.equal(made.url, "https://chat.example/shared/abc/")
  assert.equal(server.calls[0].url, `/c/${CONVERSATION}/share/`)
  assert.equal(server.calls[0].options.body.get("days"), "30")
  assert.deepEqual(refused, { message: "There is nothing to share here yet." })
  assert.match(lost.message, /Try again/)
})

test("another assistant is asked about first, and then chosen", async () => {
  const server = new FakeFetch({ ok: true, body: { tokens: 5, usd: "0.01" } })

  const told = await requestsOver(server).readingAnew(CONVERSATION, 7)
  await requestsOver(server).changeAssistant(CONVERSATION, 7)

  assert.deepEqual(told, { tokens: 5, usd: "0.01" })
  assert.equal(server.calls[0].url, `/c/${CONVERSATION}/assistant/?assistant_id=7`)
  assert.equal(server.calls[1].options.body.get("assistant_id"), "7")
})
