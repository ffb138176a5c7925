"""Does the money of a run agree wherever it is told?

The ledger is the truth; the rows of run and stages, the metadata file with its
calls and its summary, and what the API answers are sums over it."""
import json
import os
from decimal import Decimal

from stack import TERMINAL, wait_until

ROWS = ("SELECT c.stage, c.state, c.cost_nano FROM model_calls c"
        " WHERE c.run_id = '%s'")
STAGES = ("SELECT s.name, s.cost_nano, s.status FROM stages s JOIN jobs j"
          " ON j.id = s.job_id WHERE j.run_id = '%s'")


def nano(usd):
    """Exact: a float would hide the last digits."""
    return int((Decimal(str(usd)) * 10 ** 9).to_integral_value())


def per_stage(rows):
    sums = {}
    for r in rows:
        sums[r["stage"]] = sums.get(r["stage"], 0) + r["cost_nano"]
    return sums


def settled(s, run_id):
    """The ledger's rows once nobody is on the way any more."""
    def rows():
        found = s.sql(ROWS % run_id)
        return found if all(r["state"] != "SENT" for r in found) else None
    return wait_until(lambda: [rows()] if rows() is not None else None, 15,
                      "calls to be settled")[0]


def check_money(test, s, run_id):
    """Asserts that all sums agree; returns the total in nano-dollars."""
    run = s.run(run_id)
    test.assertIn(run["status"], TERMINAL)
    ledger = settled(s, run_id)
    sums = per_stage(ledger)
    total = sum(sums.values())

    row = s.sql("SELECT cost_nano, has_cost FROM runs WHERE id = '%s'"
                % run_id)[0]
    test.assertEqual(row["cost_nano"], total)
    test.assertEqual(run["total_cost_usd"] is None, total == 0)
    if total:
        test.assertEqual(nano(run["total_cost_usd"]), total)

    stages = s.sql(STAGES % run_id)
    for stage in stages:
        if stage["status"] in ("COMPLETED", "FAILED"):
            test.assertEqual(stage["cost_nano"], sums.get(stage["name"], 0),
                             stage["name"])
    # A stage that a cancel cut off keeps its calls, and its cost nowhere else.
    if run["status"] != "CANCELLED":
        test.assertEqual(sum(st["cost_nano"] for st in stages), total)
        check_file(test, s, run_id, sums, total)
    if run["status"] == "COMPLETED":
        results = s.results(run_id)
        test.assertEqual(nano(results["total_cost_usd"]), total)
        check_stage_costs(test, results["stage_costs"], sums)
    return total


def check_file(test, s, run_id, sums, total):
    path = os.path.join(s.data, "runs", run_id, "pipeline_metadata.json")
    with open(path, encoding="utf-8") as f:
        meta = json.load(f, parse_float=Decimal)
    test.assertEqual(sum(nano(c["cost_usd"]) for c in meta["calls"]), total)
    summary = meta["processing_context"]["cost_summary"]
    test.assertEqual(nano(summary["total_pipeline_cost_usd"]), total)
    check_stage_costs(test, summary["stage_costs"], sums)


def check_stage_costs(test, stage_costs, sums):
    told = {c["stage_name"]: nano(c["cost_usd"]) for c in stage_costs}
    test.assertEqual({k: v for k, v in told.items() if v},
                     {k: v for k, v in sums.items() if v})
