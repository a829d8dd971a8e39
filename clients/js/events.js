/**
 * What the gateway says, as types. docs/api.md explains each; docs/asyncapi.json has all of them.
 */

/**
 * What pictures the model takes: more than that need not be sent.
 * @typedef {object} Wanted
 * @property {number} sampled_per_second Pictures that are looked at.
 * @property {[number, number] | null} frame_size Width and height where the model's are fixed.
 * @property {number} max_pixels Of a picture, where they are not.
 */

/**
 * A memory on the server.
 * @typedef {object} MemoryLimits
 * @property {string} id
 * @property {string} model
 * @property {string | null} instructions
 * @property {number} budget_tokens What a compression pass leaves.
 * @property {number} cap_tokens What visual memory never exceeds.
 * @property {number} kv_bytes The size of its buffer.
 */

/** @typedef {MemoryLimits & Wanted} SessionDescription */

/**
 * What a session can be opened with.
 * @typedef {object} SessionOptions
 * @property {string} [instructions] What the model is told before every question.
 * @property {number} [budget_tokens]
 * @property {string} [ticket] Of a refusal for want of room: keeps the place in the queue.
 */

/**
 * What the memory holds. Ages and spans are in seconds of stream time.
 * @typedef {object} Memory
 * @property {number} tokens
 * @property {number} peak_tokens
 * @property {number} cap_tokens
 * @property {number} kv_bytes
 * @property {number} frames_seen
 * @property {number} frames_dropped
 * @property {number} compressions
 * @property {[number, number] | null} span
 * @property {number | null} newest_frame_age
 */

/**
 * Every kept token. Times and spans are in seconds of stream time, lengths in tokens.
 * @typedef {object} Description
 * @property {number[]} frames Times of all frames with a kept token, rising.
 * @property {number} patches Of a frame: rows x columns of the picture, then text around it.
 * @property {number} rows
 * @property {number} columns
 * @property {string} shares Base64; a byte for each patch, frame by frame: 255 where all layers
 *   and heads keep it.
 * @property {number} tokens
 * @property {number} budget_tokens
 * @property {number} cap_tokens
 * @property {number} kv_bytes
 * @property {number} bytes_per_token
 * @property {[number, number] | null} span
 * @property {number} next_compression_tokens
 * @property {number | null} next_compaction_positions
 * @property {number} compressions
 * @property {number} position_compactions
 */

/**
 * What an answer rests on, how long it took, and what it does not know any more.
 * @typedef {object} About
 * @property {string} [question]
 * @property {[number, number] | null} [span]
 * @property {number | null} [newest_frame_age]
 * @property {number} [queue_position] Questions that are answered first, as it was asked.
 * @property {number} [turns_forgotten] Earlier turns that this answer was written without.
 * @property {number | null} [ttft_seconds]
 * @property {string} [message]
 */

/** @typedef {"in_progress" | "completed" | "cancelled" | "incomplete" | "failed"} ResponseStatus */

/**
 * @typedef {object} StatusDetails
 * @property {string} [reason]
 * @property {string} [message]
 * @property {{code?: string, message?: string}} [error]
 */

/**
 * @typedef {object} Response
 * @property {string} id
 * @property {ResponseStatus} status
 * @property {{input_tokens: number, output_tokens: number, total_tokens: number} | null} [usage]
 * @property {StatusDetails | null} [status_details]
 * @property {Record<string, string> | null} [metadata] As it was asked for.
 * @property {About} [lookback]
 */

/**
 * The camera, and the frames of all the session's cameras.
 * @typedef {object} CameraStatus
 * @property {"none" | "connecting" | "live" | "stalled" | "gone"} state
 * @property {string} message
 * @property {number} number Another camera has a higher one.
 * @property {number} frames_received
 * @property {number} frames_sampled
 * @property {number} frames_skipped
 * @property {number} frames_sent
 * @property {number} frames_dropped
 */

/**
 * @typedef {object} ErrorDetails
 * @property {string} [code]
 * @property {string} message
 * @property {string | null} [event_id] Of the event that is to blame.
 */

/**
 * Any event of the server; each type carries only some of these.
 * @typedef {object} ServerEvent
 * @property {string} type
 * @property {string} [event_id]
 * @property {string} [response_id]
 * @property {string} [delta]
 * @property {string} [text]
 * @property {Response} [response]
 * @property {About} [lookback] Of `lookback.response.started`.
 * @property {Memory} [memory]
 * @property {Description} [description]
 * @property {CameraStatus} [camera]
 * @property {ErrorDetails} [error]
 * @property {string} [reason]
 * @property {string} [message]
 * @property {boolean} [restored] Of `lookback.session.moved`: whether the memory came along.
 */

/** @typedef {{type: string} & Record<string, unknown>} ClientEvent */

export {};
