import { gettext, numberText } from "../language/translate.js"

function usd(text) {
  if (Number(text) === 0) return gettext("less than $0.0001")
  return gettext("about {usd}", { usd: `$${text.replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "")}` })
}

/** What a person should know before the assistant changes: `{ tokens, usd }` as the server estimates, or `{ message }`. */
export function readingText({ tokens, usd: price = null, message }) {
  if (message !== undefined) return gettext("What it costs cannot be told just now.")
  const cost = price === null ? gettext("at a price that is not known") : gettext("for {price}", { price: usd(price) })
  return gettext(
    "The next message reads everything anew, with this assistant’s instructions and documents: about {tokens} tokens, {cost}, and it takes longer until its first words. What has been said stays. Of earlier answers, only the text goes on.",
    { tokens: numberText(tokens), cost },
  )
}
