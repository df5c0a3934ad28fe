// The warmth badge in words. Every time is the server's estimate, hence "about".

import { gettext, gettext_noop, ngettext } from "../language/translate.js"
import { REASONS, WARMTH_EXPLANATIONS, WARMTH_LABELS } from "./words.js"

/** A reason from the server in plain words; an unknown reason is shown unchanged. */
export const reasonText = (reason) => gettext(REASONS[reason] ?? reason.replaceAll("_", " "))

const MINUTE_MS = 60_000
const SECONDS_SHOWN_BELOW_MS = 5 * MINUTE_MS

/** Time left as `about 42 min`, in the last minutes as `about 4:09`. */
export function timeLeftText(leftMs) {
  if (leftMs > SECONDS_SHOWN_BELOW_MS)
    return gettext("about {minutes} min", { minutes: Math.ceil(leftMs / MINUTE_MS - 0.5) })
  const seconds = Math.max(0, Math.ceil(leftMs / 1000))
  return gettext("about {clock}", { clock: `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}` })
}

/** How long `timeLeftText` stays true; never less than a second. */
export function nextChangeMs(leftMs) {
  if (leftMs <= SECONDS_SHOWN_BELOW_MS) return Math.max(1000, leftMs % 1000 || 1000)
  return Math.max(1000, Math.min((leftMs + MINUTE_MS / 2) % MINUTE_MS || MINUTE_MS, leftMs - SECONDS_SHOWN_BELOW_MS))
}

// Where files are attached, they are what is read.
const WITH_FILES = {
  cold: gettext_noop("Will read the documents when you send"),
  warming: gettext_noop("Reading the documents"),
}

/**
 * `{ label, detail }` for a warmth `{ state, reason, prefixTokens, leftMs }`, where `leftMs` may be null: what is seen at
 * a glance, and what is told on demand. `hasFiles`: whether files are attached to the draft.
 */
export function describeWarmth({ state, reason, prefixTokens, leftMs }, { hasFiles = false } = {}) {
  const isTimed = (state === "warm" || state === "expiring") && leftMs !== null
  const isExplained = (state === "skipped" || state === "failed") && reason !== null
  const told = [
    WARMTH_EXPLANATIONS[state] && gettext(WARMTH_EXPLANATIONS[state]),
    isExplained && gettext("Why: {reason}.", { reason: reasonText(reason) }),
    prefixTokens > 0 &&
      ngettext(
        "About {count} token comes before your text.",
        "About {count} tokens come before your text.",
        prefixTokens,
      ),
  ]
  const name = labelOf(state, hasFiles)
  const label = isTimed ? gettext("{state}, {time} left", { state: name, time: timeLeftText(leftMs) }) : name
  return { label, detail: told.filter(Boolean).join(" ") }
}

function labelOf(state, hasFiles) {
  const label = WARMTH_LABELS[state] ?? state
  return gettext((hasFiles && WITH_FILES[label === WARMTH_LABELS.cold ? "cold" : state]) || label)
}
