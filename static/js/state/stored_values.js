/**
 * Small JSON values under one prefix of a web storage. Storage can be full or forbidden: then values are
 * kept in memory until the page is left, which is the best that is possible.
 */
export class StoredValues {
  #open
  #prefix
  #memory = new Map()

  /** `open()` returns the storage: if storage is forbidden, even naming it throws. */
  constructor({ open, prefix }) {
    this.#open = open
    this.#prefix = `${prefix}:`
  }

  get(name) {
    return this.#memory.has(name) ? this.#memory.get(name) : this.#read(this.#prefix + name)
  }

  set(name, value) {
    this.#memory.delete(name)
    try {
      this.#open().setItem(this.#prefix + name, JSON.stringify(value))
    } catch {
      this.#memory.set(name, value)
    }
  }

  delete(name) {
    this.#memory.delete(name)
    try {
      this.#open().removeItem(this.#prefix + name)
    } catch {
      // Forbidden storage holds nothing to remove.
    }
  }

  /** All values, in no particular order. */
  values() {
    const found = [...this.#memory.values()]
    for (const key of this.#keys()) {
      const value = this.#memory.has(key.slice(this.#prefix.length)) ? null : this.#read(key)
      if (value !== null) found.push(value)
    }
    return found
  }

  #keys() {
    try {
      const storage = this.#open()
      const all = Array.from({ length: storage.length }, (_, index) => storage.key(index))
      return all.filter((key) => key.startsWith(this.#prefix))
    } catch {
      return []
    }
  }

  #read(key) {
    try {
      return JSON.parse(this.#open().getItem(key))
    } catch {
      return null
    }
  }
}
