-- The payload goes; the fact that the record was refused stays, and verify compares it for ever.
WITH expired AS (
    SELECT topic, partition, "offset", octet_length(payload) AS bytes
      FROM dead_letters
     WHERE topic = %(topic)s AND purged_at IS NULL AND recorded_at < %(before)s
       AND (%(reason)s::text IS NULL OR reason = %(reason)s)
       FOR UPDATE
), emptied AS (
    UPDATE dead_letters AS letter
       SET payload = '', purged_at = now()
      FROM expired
     WHERE (letter.topic, letter.partition, letter."offset")
         = (expired.topic, expired.partition, expired."offset")
    RETURNING expired.bytes
)
SELECT count(*), coalesce(sum(bytes), 0)::bigint FROM emptied
