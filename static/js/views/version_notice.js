import { part, show } from "./dom.js"

/** Says that the server has a newer version of this page. */
export class VersionNotice {
  #root

  constructor({ root, onReload }) {
    this.#root = root
    part(root, "reload").addEventListener("click", () => onReload())
  }

  show() {
    show(this.#root, true)
  }
}
