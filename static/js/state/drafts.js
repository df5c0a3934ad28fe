/** Unsent texts of the person, and messages that they are writing anew. */
export class Drafts {
  #values
  #edits

  /** `values` are `DraftValues`, `edits` `StoredValues`, both of this user. */
  constructor({ values, edits }) {
    this.#values = values
    this.#edits = edits
  }

  load(scope) {
    return textOf(this.#values.get(scope)) ?? ""
  }

  save(scope, text) {
    if (text === "") this.#values.delete(scope)
    else this.#values.set(scope, text)
  }

  /** What was written of another version of this message; null if none was begun. */
  loadEdit(messageId) {
    return textOf(this.#edits.get(messageId))
  }

  saveEdit(messageId, text) {
    this.#edits.set(messageId, text)
  }

  /** The other version is sent, or no longer wanted. */
  endEdit(messageId) {
    this.#edits.delete(messageId)
  }
}

const textOf = (value) => (typeof value === "string" ? value : null)
