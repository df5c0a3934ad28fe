function usd(text) {
  if (Number(text) === 0) return "less than $0.0001"
  return `about $${text.replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "")}`
}

/** What a person should know before the assistant changes: `{ tokens, usd }` as the server estimates, or `{ message }`. */
export function readingText({ tokens, usd: price = null, message }) {
  if (message !== undefined) return "What it costs cannot be told just now."
  const cost = price === null ? "at a price that is not known" : `for ${usd(price)}`
  return (
    `The next message reads everything anew, with this assistant’s instructions and documents: about ` +
    `${tokens.toLocaleString("en")} tokens, ${cost}, and it takes longer until its first words. ` +
    "What has been said stays. Of earlier answers, only the text goes on."
  )
}
