"""What a replay found, as text."""

from fraudctl.operations.replay_last import LastBatches


def last_batches(result: LastBatches) -> str:
    """Each batch that ran again, and whether any row has moved."""
    lines = [
        f"batch {batch.batch_id}: {batch.records:,} records, {batch.windows:,} windows; "
        f"replays {batch.replays_before} -> {batch.replays_after}"
        for batch in result.batches
    ]
    lines += [f"{name} was run again too, although nobody asked for it" for name in result.others]
    same = result.hash_before == result.hash_after
    lines += [
        f"sha256 of all rows before  {result.hash_before}",
        f"sha256 of all rows after   {result.hash_after}",
        f"{'PASS' if result.unchanged else 'FAIL'}: {len(result.batches)} batches ran again in "
        f"{result.seconds:.1f} s, {'no row has changed' if same else 'rows have changed'}",
    ]
    return "\n".join(lines)
