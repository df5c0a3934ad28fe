import assert from "node:assert/strict"
import { test } from "node:test"

import { AttachmentRequests } from "../../../static/js/transport/attachment_requests.js"
import { FakeFetch } from "../fakes.js"

const FILE = new File(["Hello"], "notes.txt")
const JSON_TYPE = "application/json"

const requestsOver = (server) =>
  new AttachmentRequests({ url: "/attachments/", csrfToken: "token", fetch: server.fetch })

test("a file that is taken has an id, a name and a size", async () => {
  const server = new FakeFetch({ ok: true, type: JSON_TYPE, body: { id: "f1", name: "notes.txt", chars: 5, bytes: 5 } })

  const taken = await requestsOver(server).upload(FILE)

  assert.deepEqual(taken, { id: "f1", name: "notes.txt", bytes: 5 })
  const [{ url, options }] = server.calls
  assert.equal(url, "/attachments/")
  assert.equal(options.headers["X-CSRFToken"], "token")
  assert.equal(options.body.get("file").name, "notes.txt")
})

test("a file that is not taken comes back with the server's own words", async () => {
  const server = new FakeFetch({ ok: false, type: JSON_TYPE, body: { message: "This is no text." } })

  assert.deepEqual(await requestsOver(server).upload(FILE), { message: "This is no text." })
})

test("an answer that is not ours, or none, is told in words for the person", async () => {
  for (const answer of [{ ok: false, type: "text/html" }, { ok: false, type: JSON_TYPE, body: {} }, new TypeError()]) {
    const { message, id } = await requestsOver(new FakeFetch(answer)).upload(FILE)

    assert.match(message, /Try again/)
    assert.equal(id, undefined)
  }
})

test("a file that is taken back is named in the address, and a failure matters to nobody", async () => {
  const server = new FakeFetch(new TypeError("no network"))

  await requestsOver(server).remove("f1")

  assert.equal(server.calls[0].url, "/attachments/f1/delete/")
})
