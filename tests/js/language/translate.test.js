import assert from "node:assert/strict"
import { afterEach, test } from "node:test"

import {
  decimalText,
  gettext,
  isKnown,
  ngettext,
  numberText,
  speak,
  speakEnglish,
} from "../../../static/js/language/translate.js"
import { refusalText } from "../../../static/js/text/quota_words.js"
import { endingText } from "../../../static/js/text/reply_words.js"
import { describeWarmth } from "../../../static/js/text/warmth_words.js"

const GERMAN = {
  language: "de",
  form: (count) => Number(count !== 1),
  words: {
    "“{title}” is deleted.": "„{title}“ ist gelöscht.",
    "{count} file is read.": ["{count} Datei ist gelesen.", "{count} Dateien sind gelesen."],
    "This reply failed.": "Diese Antwort ist gescheitert.",
    "The reason: {reason}.": "Grund: {reason}.",
    "the API is overloaded": "die API ist überlastet",
    Ready: "Bereit",
    "{state}, {time} left": "{state}, noch {time}",
    "about {minutes} min": "etwa {minutes} min",
    "At most {limit} messages a day ({whose}), and that many are sent.": "Höchstens {limit} am Tag ({whose}).",
    "your own limit": "dein Limit",
  },
}
const POLISH = (n) => (n === 1 ? 0 : n % 10 >= 2 && n % 10 <= 4 && (n % 100 < 10 || n % 100 >= 20) ? 1 : 2)

afterEach(speakEnglish)

test("English is what the code says, with its values filled in", () => {
  assert.equal(gettext("“{title}” is deleted.", { title: "{title} $& x" }), "“{title} $& x” is deleted.")
  assert.equal(ngettext("{count} file is read.", "{count} files are read.", 1), "1 file is read.")
  assert.equal(ngettext("{count} file is read.", "{count} files are read.", 1200), "1,200 files are read.")
  assert.ok(isKnown("whatever the server says"))
})

test("another language has its own words, forms and numbers", () => {
  speak(GERMAN)

  assert.equal(gettext("“{title}” is deleted.", { title: "Tee" }), "„Tee“ ist gelöscht.")
  assert.equal(ngettext("{count} file is read.", "{count} files are read.", 1), "1 Datei ist gelesen.")
  assert.equal(ngettext("{count} file is read.", "{count} files are read.", 1200), "1.200 Dateien sind gelesen.")
  assert.equal(numberText(1234567), "1.234.567")
  assert.equal(decimalText(1.5, 2), "1,50")
})

test("a language may have more than two forms", () => {
  speak({
    language: "pl",
    form: POLISH,
    words: { "{count} file": ["{count} plik", "{count} pliki", "{count} plików"] },
  })

  const told = [1, 2, 5, 22].map((count) => ngettext("{count} file", "{count} files", count))

  assert.deepEqual(told, ["1 plik", "2 pliki", "5 plików", "22 pliki"])
})

test("a text that the language does not have stays English, also if it is the name of a method", () => {
  speak(GERMAN)

  assert.equal(gettext("constructor"), "constructor")
  assert.equal(gettext("A text of the next release"), "A text of the next release")
  assert.ok(!isKnown("toString"))
})

test("what the server says by codes is told in the language of the page", () => {
  speak(GERMAN)
  const error = { code: "overloaded", message: "Claude is overloaded. Try again in a moment.", retryable: true }
  const quota = { measure: "messages_per_day", scope: "person", limit: "1000", left: "0", until: null }

  assert.equal(endingText({ status: "failed", error }), "Diese Antwort ist gescheitert. Grund: die API ist überlastet.")
  assert.equal(refusalText("You may send 1000 …", quota, 0), "Höchstens 1.000 am Tag (dein Limit).")
  assert.equal(
    describeWarmth({ state: "warm", reason: null, prefixTokens: 0, leftMs: 600_000 }).label,
    "Bereit, noch etwa 10 min",
  )
})
