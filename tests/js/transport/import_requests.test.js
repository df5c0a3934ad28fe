import assert from "node:assert/strict"
import { test } from "node:test"
import { ImportRequests } from "../../../static/js/transport/import_requests.js"

const answering = (status, data) => async () =>
  new Response(typeof data === "string" ? data : JSON.stringify(data), { status })
const send = (fetch) => new ImportRequests({ url: "/import/", csrfToken: "t", fetch }).send(new Blob(["[]"]))

test("the number of conversations comes back, or words for the person", async () => {
  assert.deepEqual(await send(answering(201, { conversations: 3 })), { conversations: 3 })
  assert.deepEqual(await send(answering(422, { message: "No." })), { message: "No." })
})

test("without an answer in JSON the person may try again", async () => {
  const failing = async () => {
    throw new TypeError("no network")
  }

  for (const fetch of [failing, answering(413, "<html>"), answering(500, {})]) {
    assert.match((await send(fetch)).message, /Try again/)
  }
})
