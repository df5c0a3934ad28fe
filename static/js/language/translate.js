// The page's language. The code says everything in English; for another language, the page loads one more script before
// this one, `static/words/<language>.js`, which hands over its words.

const ENGLISH = { language: "en", times: "en-GB", words: {}, form: (count) => Number(count !== 1) }

let current = ENGLISH

/** `words`: text by English text, a list of forms where there are several; `form(count)` is the place of the right one. */
export function speak({ language, words, form }) {
  current = { language, times: language, words, form }
}

export const speakEnglish = () => (current = ENGLISH)

/** What `english` is in the page's language, with `{name}` filled in from `values`. Unknown texts stay as they are. */
export function gettext(english, values = {}) {
  return filled(textOf(english) ?? english, values)
}

/** The form for `count`, which stands for `{count}`. */
export function ngettext(one, many, count, values = {}) {
  const forms = Object.hasOwn(current.words, one) ? [current.words[one]].flat() : [one, many]
  const form = Object.hasOwn(current.words, one) ? current.form(count) : ENGLISH.form(count)
  return filled(forms[form] ?? many, { count: numberText(count), ...values })
}

/** Marks a text that is translated where it is shown. */
export const gettext_noop = (english) => english

/** Whether this language has words of its own for `english`. */
export const isKnown = (english) => current === ENGLISH || textOf(english) !== undefined

export const numberText = (number) => number.toLocaleString(current.language)

/** A number with so many decimals. */
export const decimalText = (number, decimals) =>
  number.toLocaleString(current.language, { minimumFractionDigits: decimals, maximumFractionDigits: decimals })

/** The language for dates. */
export const language = () => current.language

/** For example `16:05`. */
export const timeText = (date) => date.toLocaleTimeString(current.times, { hour: "2-digit", minute: "2-digit" })

function textOf(english) {
  return Object.hasOwn(current.words, english) ? [current.words[english]].flat()[0] : undefined
}

const filled = (text, values) =>
  text.replace(/\{(\w+)\}/g, (whole, name) => (Object.hasOwn(values, name) ? String(values[name]) : whole))
