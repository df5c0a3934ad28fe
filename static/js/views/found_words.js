const NAME = "found"

/** Marks words in a message without touching its elements: by the browser's own highlights, where it has them. */
export class FoundWords {
  #message = null

  /** Marks `words` in `message`, and the message itself. Returns where the first one is, or the message. */
  mark(message, words) {
    this.clear()
    this.#message = message
    message.dataset.found = "true"
    const ranges = [...rangesOf(message, words)]
    if (ranges.length > 0) globalThis.CSS.highlights?.set(NAME, new globalThis.Highlight(...ranges))
    return ranges[0] ?? message
  }

  clear() {
    globalThis.CSS.highlights?.delete(NAME)
    if (this.#message !== null) delete this.#message.dataset.found
    this.#message = null
  }
}

function* rangesOf(root, words) {
  const wanted = words.filter((word) => word !== "")
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT)
  for (let node = walker.nextNode(); node !== null && wanted.length > 0; node = walker.nextNode()) {
    for (const word of wanted) {
      for (let at = node.data.indexOf(word); at >= 0; at = node.data.indexOf(word, at + word.length)) {
        const range = new Range()
        range.setStart(node, at)
        range.setEnd(node, at + word.length)
        yield range
      }
    }
  }
}
