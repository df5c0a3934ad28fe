import assert from "node:assert/strict"
import { afterEach, test } from "node:test"

import { speak, speakEnglish } from "../../../static/js/language/translate.js"
import { errorText } from "../../../static/js/text/error_words.js"

const MESSAGE = "5 messages wait here already. Take one back, or wait for the reply."
const SENTENCE = "Too many messages wait here already. Take one back, or wait for the reply."

afterEach(speakEnglish)

test("in English, the server's own sentence is told", () => {
  assert.equal(errorText({ code: "queue_full", message: MESSAGE }), MESSAGE)
})

test("in another language, what the code says; a code of another release keeps its sentence", () => {
  speak({ language: "de", form: (count) => Number(count !== 1), words: { [SENTENCE]: "Es warten zu viele." } })

  assert.equal(errorText({ code: "queue_full", message: MESSAGE }), "Es warten zu viele.")
  assert.equal(errorText({ code: "moon_phase", message: "The moon is wrong." }), "The moon is wrong.")
})
