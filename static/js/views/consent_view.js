import { gettext } from "../language/translate.js"
import { answerText, questionText } from "../text/consent_words.js"
import { fromTemplate, part, setText, show } from "./dom.js"

const ANSWERS = ["once", "always", "no"]

/** A call that waits for its person: where it would go, what would be sent, and three answers. */
export class ConsentView {
  #isOpen = true

  /** `question`: `{ server, host, tool }`; `input`: what would be sent; `onAnswer(answer)` returns whether it was sent. */
  constructor({ question, input, onAnswer }) {
    this.element = fromTemplate("consent-template")
    setText(part(this.element, "question"), questionText(question))
    setText(part(this.element, "input"), input)
    for (const answer of ANSWERS) {
      const sending = gettext("Sending your answer…")
      part(this.element, answer).addEventListener("click", () => onAnswer(answer) && this.#tell(sending))
    }
  }

  get isOpen() {
    return this.#isOpen
  }

  /** It is not asked any more; `answer` is null if the reply has ended. */
  close(answer) {
    if (!this.#isOpen) return
    this.#isOpen = false
    const hasFocus = part(this.element, "answers").contains(document.activeElement)
    show(part(this.element, "details"), false)
    this.element.dataset.state = "closed"
    this.#tell(answerText(answer))
    if (hasFocus) this.element.focus()
  }

  append() {}

  draw() {}

  finish() {}

  #tell(text) {
    setText(part(this.element, "said"), text)
    show(part(this.element, "said"), true)
  }
}
