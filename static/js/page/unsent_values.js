import { DraftValues } from "../state/draft_values.js"

/** The `DraftValues` of texts and of files; `stored(kind, open)` makes the `StoredValues` of this user. */
export function unsentValues({ stored, uuid, clock }) {
  const valuesOf = (kind) => {
    const tab = stored(kind, () => sessionStorage)
    return new DraftValues({ shared: stored(kind), tab, left: stored(`${kind}-left`), uuid, clock })
  }
  const unsent = { texts: valuesOf("draft"), files: valuesOf("files") }
  addEventListener("pagehide", () => {
    for (const values of Object.values(unsent)) values.leave()
  })
  addEventListener("pageshow", ({ persisted }) => {
    if (persisted) for (const values of Object.values(unsent)) values.comeBack()
  })
  return unsent
}
