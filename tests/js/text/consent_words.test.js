import assert from "node:assert/strict"
import { afterEach, test } from "node:test"
import { speak, speakEnglish } from "../../../static/js/language/translate.js"
import { answerText, questionText } from "../../../static/js/text/consent_words.js"

afterEach(speakEnglish)

test("a question names the server, its address and the tool", () => {
  const text = questionText({ server: "Words", host: "words.example", tool: "look_up" })

  assert.equal(text, "The assistant wants to ask Words (words.example), outside this chat, with the tool “look_up”.")
})

test("every answer has its words, and so has none", () => {
  const texts = ["once", "always", "no", "none", null].map(answerText)

  assert.equal(new Set(texts).size, 4)
  assert.equal(texts[3], texts[4])
})

test("what was said is told in the page's language", () => {
  speak({ language: "de", form: () => 0, words: { "You allowed this call once.": "Du hast es einmal erlaubt." } })

  assert.equal(answerText("once"), "Du hast es einmal erlaubt.")
})
