const PREFIX = "warmcache:"

/**
 * Forgets at sign-out what the browser keeps of this person: drafts, their files, half-written edits, unsent messages.
 * `open` are functions that return a storage: if storage is forbidden, even naming it throws.
 */
export function wipeStored(...open) {
  for (const storageOf of open) {
    try {
      const storage = storageOf()
      const keys = Array.from({ length: storage.length }, (_, index) => storage.key(index))
      for (const key of keys.filter((each) => each.startsWith(PREFIX))) storage.removeItem(key)
    } catch {
      // Forbidden storage holds nothing.
    }
  }
}
