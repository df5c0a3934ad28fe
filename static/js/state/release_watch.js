const CHECK_MS = 5_000
const SEEN_IDLE_MS = 5 * 60_000
// All pages hear of a new release within seconds: those that nobody sees must not come back all at once.
const HIDDEN_IDLE_MS = 30_000
const SPREAD_MS = 60_000

/** Whether the files of `theirs` were collected later than those of `ours`, and differ: see `ready` in PROTOCOL.md. */
export function isNewer(theirs, ours) {
  if (!theirs || !ours) return false
  const [theirTime, theirHash] = theirs.split(".")
  const [ourTime, ourHash] = ours.split(".")
  return theirHash !== ourHash && Number(theirTime) > Number(ourTime)
}

/** Notices that the server has a newer version of this page, and reloads the page when nobody needs it. */
export class ReleaseWatch {
  #release
  #protocol
  #clock
  #timers
  #isBusy
  #isVisible
  #onNewer
  #reload
  #hiddenIdleMs
  #touchedAtMs
  #isOld = false

  /**
   * `release` and `protocol` are this page's own. `onNewer()` is called once. `isBusy()`: whether a reload would cost
   * the person anything.
   */
  constructor({ release, protocol, clock, timers, random, isBusy, isVisible, onNewer, reload }) {
    this.#release = release
    this.#protocol = protocol
    this.#clock = clock
    this.#timers = timers
    this.#isBusy = isBusy
    this.#isVisible = isVisible
    this.#onNewer = onNewer
    this.#reload = reload
    this.#hiddenIdleMs = HIDDEN_IDLE_MS + random() * SPREAD_MS
    this.#touchedAtMs = clock()
  }

  /** The server has said what it is. */
  connected({ protocol, release }) {
    if (this.#isOld || (protocol === this.#protocol && !isNewer(release, this.#release))) return
    this.#isOld = true
    this.#onNewer()
    this.#checkLater()
  }

  /** The person has done something on the page, or has left or come back to it. */
  touched() {
    this.#touchedAtMs = this.#clock()
  }

  #checkLater() {
    this.#timers.set(() => this.#check(), CHECK_MS)
  }

  #check() {
    const idleMs = this.#clock() - this.#touchedAtMs
    const isLeft = idleMs >= (this.#isVisible() ? SEEN_IDLE_MS : this.#hiddenIdleMs)
    if (isLeft && !this.#isBusy()) this.#reload()
    else this.#checkLater()
  }
}
