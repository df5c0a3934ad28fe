import { describeWarmth } from "../text/warmth_words.js"
import { part, setText } from "./dom.js"

/** Shows the warmth beside the composer; a tooltip explains it. */
export class WarmthBadge {
  #root
  #button

  constructor({ root }) {
    this.#root = root
    this.#button = part(root, "button")
    root.addEventListener("keydown", (event) => event.key === "Escape" && this.#dismiss())
    root.addEventListener("focusout", () => root.classList.remove("badge--dismissed"))
    root.addEventListener("pointerleave", () => root.classList.remove("badge--dismissed"))
  }

  show(warmth) {
    const { label, detail } = describeWarmth(warmth)
    const { dataset } = this.#button
    dataset.state = warmth.state
    dataset.reason = warmth.reason ?? ""
    setText(part(this.#root, "label"), label)
    setText(part(this.#root, "detail"), detail)
  }

  // A tooltip must go away at Escape without moving the focus.
  #dismiss() {
    this.#root.classList.add("badge--dismissed")
  }
}
