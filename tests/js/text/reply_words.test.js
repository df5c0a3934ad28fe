import assert from "node:assert/strict"
import { test } from "node:test"

import {
  endingText,
  factsLine,
  mayEditQuestion,
  mayGoOn,
  mayTryAgain,
  replyFacts,
} from "../../../static/js/text/reply_words.js"

const USAGE = { input_tokens: 45, cache_read_tokens: 60123, cache_write_tokens: 120, output_tokens: 312 }
const REFUSED = { code: "bad_key", message: "The key is not accepted.", retryable: false }
const BUSY = { code: "overloaded", message: "The API is busy.", retryable: true }

test("the line tells the wait and whether it was warm, the rest is told on demand", () => {
  const facts = replyFacts({ ttftMs: 412, isFelt: true, usage: USAGE, costUsd: "0.02281500", warmth: "hit" })

  assert.equal(factsLine(facts), "first words after 0.41 s · warm")
  assert.deepEqual(
    facts.map(({ name }) => name),
    ["First words", "Tokens", "Cost", "Warmth"],
  )
  assert.match(facts[1].long, /60,123 read from the cache, 120 written to it, 45 read without it/)
})

test("a line without a wait still leads to the numbers", () => {
  assert.equal(factsLine(replyFacts({ ttftMs: null, usage: USAGE, costUsd: null, warmth: null })), "Numbers")
})

test("only what this page measured counts from the press", () => {
  const wait = (isFelt) => replyFacts({ ttftMs: 412, isFelt, usage: null, costUsd: null, warmth: null })[0].long

  assert.match(wait(true), /from your press to the first words on the screen/)
  assert.match(wait(false), /from sending/)
})

test("the whole cost is told without empty digits", () => {
  const longs = ["0.02281500", "1.00", "3"].map(
    (costUsd) => replyFacts({ ttftMs: null, usage: null, costUsd, warmth: null })[0].long,
  )

  assert.deepEqual(longs, ["$0.022815 for this reply.", "$1 for this reply.", "$3 for this reply."])
})

test("searches on the web are told with the cost that they are in", () => {
  const facts = replyFacts({ ttftMs: null, usage: { ...USAGE, web_searches: 2 }, costUsd: "0.02", warmth: null })

  assert.deepEqual(
    facts.map(({ name }) => name),
    ["Tokens", "Cost", "Searches on the web"],
  )
  assert.match(facts[2].long, /^2, each of them billed/)
})

test("what is not known is left out", () => {
  assert.deepEqual(replyFacts({ ttftMs: null, usage: null, costUsd: null, warmth: null }), [])
  assert.deepEqual(replyFacts({ ttftMs: null, usage: null, costUsd: null, warmth: "cold" }), [])
})

test("each warmth has words and an explanation", () => {
  for (const warmth of ["hit", "joined", "raced", "cold", "held_out"]) {
    const fact = replyFacts({ ttftMs: 412, isFelt: true, usage: null, costUsd: null, warmth }).at(-1)

    assert.equal(fact.name, "Warmth")
    assert.ok(fact.long.length > fact.short.length)
  }
})

test("another message is offered where the same one would be refused again", () => {
  const failed = (code) => ({ status: "failed", stopReason: null, error: { ...REFUSED, code } })

  assert.equal(mayEditQuestion(failed("request_refused")), true)
  assert.equal(mayEditQuestion(failed("prompt_too_large")), true)
  assert.equal(mayEditQuestion(failed("bad_key")), false)
  assert.equal(mayEditQuestion({ status: "complete", stopReason: "refusal", error: null }), true)
  assert.equal(mayEditQuestion({ status: "complete", stopReason: "end_turn", error: null }), false)
})

test("an answer that simply ended needs no words", () => {
  assert.equal(endingText({ status: "complete", stopReason: "end_turn", error: null }), null)
})

test("an answer that was cut off says what happened", () => {
  assert.match(endingText({ status: "complete", stopReason: "max_tokens", error: null }), /length limit/)
  assert.match(endingText({ status: "interrupted", stopReason: null, error: null }), /cut off.*kept/)
  assert.equal(endingText({ status: "failed", stopReason: null, error: BUSY }), "This reply failed. The API is busy.")
})

test("a refusal says why, that the turn is left out, and what can be done", () => {
  const refused = (stopDetails) => endingText({ status: "complete", stopReason: "refusal", stopDetails, error: null })

  assert.match(refused({ category: "bio", explanation: "No pathogens." }), /declined.* No pathogens\. .*left out.*Edit/)
  assert.match(refused({ category: "bio", explanation: null }), /biological harm.*left out/)
  assert.match(refused({ category: "unheard", explanation: null }), /declined to answer\. Your message/)
  assert.match(refused(null), /declined to answer\. Your message/)
})

test("every stop reason but an ordinary end has a sentence", () => {
  const sentenceFor = (stopReason) => endingText({ status: "complete", stopReason, error: null })

  for (const reason of ["max_tokens", "model_context_window_exceeded", "pause_turn", "refusal", "tool_use"]) {
    assert.match(sentenceFor(reason), /^(The|Claude) .*\.$/, reason)
  }
  assert.deepEqual([sentenceFor("end_turn"), sentenceFor("stop_sequence")], [null, null])
})

test("trying again is offered where it can help", () => {
  assert.equal(mayTryAgain({ status: "stopped", error: null }), true)
  assert.equal(mayTryAgain({ status: "failed", error: BUSY }), true)
  assert.equal(mayTryAgain({ status: "failed", error: REFUSED }), false)
  assert.equal(mayTryAgain({ status: "complete", error: null }), false)
})

test("more is offered where the model has more to say", () => {
  assert.equal(mayGoOn({ status: "complete", stopReason: "max_tokens" }), true)
  assert.equal(mayGoOn({ status: "complete", stopReason: "pause_turn" }), true)
  assert.equal(mayGoOn({ status: "complete", stopReason: "end_turn" }), false)
  assert.equal(mayGoOn({ status: "stopped", stopReason: null }), false)
})
