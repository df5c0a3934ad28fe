import { gettext } from "../language/translate.js"

/**
 * The files of each draft: being uploaded, uploaded, or refused. Those that the server has are kept over a reload, as
 * long as the server keeps them. An entry is `{ key, name, bytes, width, height, state, id, message }`; `state` is
 * `uploading`, `ready` or `failed`. Only a picture has `width` and `height`.
 * `bytes` is what it takes of a message as far as that is known: a PDF's or picture's only once the server has read it.
 */
export class AttachmentUploads {
  #requests
  #maxBytes
  #maxTotalBytes
  #maxCount
  #onChange
  #onReady
  #values
  #clock
  #keptMs
  #drafts = new Map()
  #restored = new Set()
  #nextKey = 1

  /**
   * `requests` has `upload(file)`, which returns `{ id, name, bytes }`, with a picture's size, or `{ message }`, and `remove(id)`.
   * `onChange(scope)` reports new states, `onReady(scope, entry)` a file that the server has now. `values` are
   * `DraftValues`; the server keeps an unsent file for `keptMs`.
   */
  constructor({ requests, maxBytes, maxTotalBytes, maxCount, onChange, onReady, values, clock, keptMs }) {
    this.#values = values
    this.#clock = clock
    this.#keptMs = keptMs
    this.#requests = requests
    this.#maxBytes = maxBytes
    this.#maxTotalBytes = maxTotalBytes
    this.#maxCount = maxCount
    this.#onChange = onChange
    this.#onReady = onReady
  }

  entries(scope) {
    return this.#drafts.get(nameOf(scope)) ?? this.#kept(scope)
  }

  /** The files that the server has. */
  ids(scope) {
    return this.#ready(scope).map(({ id }) => id)
  }

  isBusy(scope) {
    return this.entries(scope).some(({ state }) => state === "uploading")
  }

  /** Starts to upload files; each succeeds or fails by itself. */
  async add(scope, files) {
    await Promise.all([...files].map((file) => this.#add(scope, file)))
  }

  /** Removes a file, also from the server. */
  remove(scope, key) {
    const entry = this.entries(scope).find((each) => each.key === key)
    if (entry === undefined) return
    this.#set(
      scope,
      this.entries(scope).filter((each) => each.key !== key),
    )
    if (entry.id !== null) this.#requests.remove(entry.id)
  }

  /** Empties the draft; returns the files that the server has, as `[{ id, name }]`, with the size of pictures. */
  take(scope) {
    const taken = this.#ready(scope).map(({ id, name, width, height }) => ({
      id,
      name,
      ...(width > 0 && { width, height }),
    }))
    this.#set(scope, [])
    return taken
  }

  /** Puts back files that were taken and not sent. */
  putBack(scope, attachments) {
    const back = { bytes: 0, state: "ready", message: null, readyAtMs: this.#clock() }
    const entries = attachments.map((each) => ({ ...back, ...each, key: this.#key() }))
    this.#set(scope, [...entries, ...this.entries(scope)])
  }

  /** A new chat has become a conversation: moves its draft there. */
  move(from, to) {
    const entries = this.entries(from)
    if (entries.length === 0) return
    this.#set(from, [])
    this.#set(to, [...this.entries(to), ...entries])
  }

  async #add(scope, file) {
    const key = this.#key()
    const refusal = this.#refusal(scope, file)
    const state = refusal === null ? "uploading" : "failed"
    const bytes = textBytesOf(file)
    this.#set(scope, [...this.entries(scope), { key, name: file.name, bytes, state, id: null, message: refusal }])
    if (refusal !== null) return
    const answer = await this.#requests.upload(file)
    const place = this.#placeOf(key)
    if (place === null) {
      // Removed during the upload.
      if (answer.id !== undefined) this.#requests.remove(answer.id)
      return
    }
    if (answer.id !== undefined && this.#total(place, key) + answer.bytes > this.#maxTotalBytes) {
      this.#requests.remove(answer.id)
      this.#answered(place, key, { message: this.#tooMuch() })
    } else {
      this.#answered(place, key, answer)
    }
  }

  #answered(scope, key, { message = null, ...file }) {
    const { id = null } = file
    const change = id === null ? { state: "failed", message } : { ...file, state: "ready", readyAtMs: this.#clock() }
    const entries = this.entries(scope).map((each) => (each.key === key ? { ...each, ...change } : each))
    this.#set(scope, entries)
    if (id !== null)
      this.#onReady(
        scope,
        entries.find((each) => each.key === key),
      )
  }

  #refusal(scope, file) {
    const count = this.entries(scope).filter(({ state }) => state !== "failed").length
    if (count >= this.#maxCount) return gettext("At most {count} files go with one message.", { count: this.#maxCount })
    if (file.size > this.#maxBytes)
      return gettext("A file may have at most {mb} MB.", { mb: Math.floor(this.#maxBytes / 2 ** 20) })
    if (this.#total(scope) + textBytesOf(file) > this.#maxTotalBytes) return this.#tooMuch()
    return null
  }

  #tooMuch() {
    return gettext("The files of one message may hold at most {mb} MB of text and pictures together.", {
      mb: Math.floor(this.#maxTotalBytes / 2 ** 20),
    })
  }

  #total(scope, exceptKey = null) {
    const counted = this.entries(scope).filter(({ key, state }) => state !== "failed" && key !== exceptKey)
    return counted.reduce((total, { bytes }) => total + bytes, 0)
  }

  #ready(scope) {
    return this.entries(scope).filter(({ state }) => state === "ready")
  }

  // The draft may have moved since: see `move`.
  #placeOf(key) {
    for (const [name, entries] of this.#drafts) {
      if (entries.some((each) => each.key === key)) return { conversationId: name === NEW ? null : name }
    }
    return null
  }

  #set(scope, entries) {
    if (entries.length === 0) this.#drafts.delete(nameOf(scope))
    else this.#drafts.set(nameOf(scope), entries)
    this.#keep(scope)
    this.#onChange(scope)
  }

  #keep(scope) {
    const files = (this.#drafts.get(nameOf(scope)) ?? []).filter(({ state }) => state === "ready")
    if (files.length === 0) this.#values.delete(scope)
    else this.#values.set(scope, files)
  }

  // From before a reload, or from a tab that was closed. Only once: what another tab attaches later is not seen here.
  #kept(scope) {
    if (this.#restored.has(nameOf(scope))) return []
    this.#restored.add(nameOf(scope))
    const stored = this.#values.get(scope)
    const isThere = ({ id, readyAtMs }) => typeof id === "string" && this.#clock() - readyAtMs < this.#keptMs
    const entries = (Array.isArray(stored) ? stored : []).filter(isThere).map((each) => ({ ...each, key: this.#key() }))
    if (entries.length > 0) this.#drafts.set(nameOf(scope), entries)
    return entries
  }

  #key() {
    return this.#nextKey++
  }
}

const NEW = "new"

// What is sent of a PDF or of a picture has nothing to do with its size.
const isConverted = ({ name, type = "" }) =>
  type === "application/pdf" || name.endsWith(".pdf") || type.startsWith("image/")
const textBytesOf = (file) => (isConverted(file) ? 0 : file.size)

const nameOf = ({ conversationId }) => conversationId ?? NEW
