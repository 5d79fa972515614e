-- Windows wholly inside the range that the replay does not have.
DELETE FROM fraud_metrics AS live
 WHERE live.window_start >= %(begin)s AND live.window_end <= %(finish)s
   AND NOT EXISTS (SELECT FROM fraud_shadow.fraud_metrics AS shadow
                    WHERE shadow.window_start = live.window_start
                      AND shadow.window_end = live.window_end
                      AND shadow.category = live.category)
