/** Unsent texts of the person, per conversation; all new chats share one draft. */
export class Drafts {
  #values

  /** `values` is a `StoredValues` of this user's drafts. */
  constructor({ values }) {
    this.#values = values
  }

  load(scope) {
    const text = this.#values.get(nameOf(scope))
    return typeof text === "string" ? text : ""
  }

  save(scope, text) {
    if (text === "") this.#values.delete(nameOf(scope))
    else this.#values.set(nameOf(scope), text)
  }
}

const nameOf = ({ conversationId }) => conversationId ?? "new"
