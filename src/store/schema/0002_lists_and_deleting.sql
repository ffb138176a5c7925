-- Schema 2: lists by platform, by key and by words; runs that can be deleted.
--
-- A deleted run stays as a row without content, because the ledger refers to it
-- and money is a sum over the ledger.  Every query of runs says deleted_ms = 0,
-- and so do the indexes of lists: what is deleted is not in them.
--
-- The new columns stand behind the long ones.  That costs nothing: a zero takes
-- no byte of a row's body and is read without its overflow pages, and a deleted
-- run has no long columns any more.

ALTER TABLE runs
    ADD COLUMN deleted_ms INTEGER NOT NULL DEFAULT 0;	-- 0: it is not
ALTER TABLE runs	-- 1: nothing of a deleted run is on the disk any more
    ADD COLUMN files_removed INTEGER NOT NULL DEFAULT 0;

-- Everything a list filters by, except words, stands in its index; so the rows
-- that are left out are never touched.  (deleted_ms, too, although it is 0 in
-- all of them: SQLite looks into the row for a column that is only in WHERE.)
DROP INDEX runs_by_owner;
DROP INDEX runs_by_owner_status;
DROP INDEX runs_by_time;
CREATE INDEX runs_by_owner
    ON runs (owner, created_ms DESC, id DESC, mode, platform_name,
    deleted_ms) WHERE deleted_ms = 0;
CREATE INDEX runs_by_owner_status
    ON runs (owner, status, created_ms DESC, id DESC, mode, platform_name,
    deleted_ms) WHERE deleted_ms = 0;
CREATE INDEX runs_by_time
    ON runs (created_ms DESC, id DESC, status, mode, platform_name,
    deleted_ms) WHERE deleted_ms = 0;
-- Whose files are to be looked for?
CREATE INDEX runs_deleted
    ON runs (deleted_ms, id) WHERE deleted_ms > 0 AND files_removed = 0;

-- The counters, now by platform, too; they count what is not deleted.
DROP TABLE run_counts;
CREATE TABLE run_counts (
	owner TEXT NOT NULL,
	status TEXT NOT NULL,
	mode TEXT NOT NULL,
	platform TEXT NOT NULL,		-- '': none
	n INTEGER NOT NULL CHECK (n >= 0),
	PRIMARY KEY (owner, status, mode, platform)
) STRICT, WITHOUT ROWID;

INSERT INTO run_counts (owner, status, mode, platform, n)
    SELECT owner, status, mode, COALESCE(platform_name, ''), count(*)
    FROM runs GROUP BY 1, 2, 3, 4;

-- The run that a kept answer is about: the answer goes when the run goes.
ALTER TABLE idempotency ADD COLUMN run_id TEXT;
UPDATE idempotency SET run_id = json_extract(body, '$.id')
    WHERE json_valid(body);
CREATE INDEX idempotency_by_run
    ON idempotency (run_id) WHERE run_id IS NOT NULL;
