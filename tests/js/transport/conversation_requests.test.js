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
