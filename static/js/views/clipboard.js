import { gettext } from "../language/translate.js"

const SHOWN_MS = 1_600

/** Makes `button` copy what `text()` returns, and say whether it worked. */
export function copiesOnClick(button, text) {
  const label = button.querySelector("[data-part=label]")
  const usual = label.textContent
  button.addEventListener("click", async () => {
    label.textContent = (await copied(text())) ? gettext("Copied") : gettext("Not allowed here")
    setTimeout(() => (label.textContent = usual), SHOWN_MS)
  })
}

// Browsers offer the clipboard only to secure pages; over plain HTTP on a network there is none.
async function copied(text) {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    return false
  }
}
