INSERT INTO dead_letters (topic, partition, "offset", reason, arrival, payload, payload_bytes)
SELECT %(topic)s, letter.*
  FROM unnest(%(partitions)s::integer[], %(offsets)s::bigint[], %(reasons)s::text[],
              %(arrivals)s::timestamptz[], %(payloads)s::bytea[], %(lengths)s::bigint[]) AS letter
ON CONFLICT (topic, partition, "offset") DO NOTHING
