import { gettext } from "../language/translate.js"
import { part } from "./dom.js"

/** The button that imports an archive, and says that it does. */
export class ImportButton {
  /** `onFile(file)` returns a promise; the button rests until it is done. */
  constructor({ root, onFile }) {
    const [button, file] = [part(root, "choose"), part(root, "file")]
    const words = button.textContent
    button.addEventListener("click", () => file.click())
    file.addEventListener("change", async () => {
      const [chosen] = file.files
      if (chosen === undefined) return
      button.disabled = true
      button.textContent = gettext("Importing…")
      await onFile(chosen)
      button.disabled = false
      button.textContent = words
      file.value = ""
    })
  }
}
