/** A random UUID (version 4). `crypto.randomUUID` is missing on plain HTTP, which a chat at home may use. */
export function newUuid(randomValues = (bytes) => crypto.getRandomValues(bytes)) {
  const bytes = randomValues(new Uint8Array(16))
  bytes[6] = (bytes[6] & 0x0f) | 0x40
  bytes[8] = (bytes[8] & 0x3f) | 0x80
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")
  return [0, 8, 12, 16, 20].map((start, index, all) => hex.slice(start, all[index + 1])).join("-")
}
