-- Schema 1: runs, the queue that executes them, their progress, the ledger.
--
-- Conventions.  Ids are UUID text.  *_ms is Unix time in milliseconds, 0 means
-- "not yet"; *_nano is money in nano-dollars.  Truth values are 0 and 1.  JSON
-- is text that SQL never looks into.  States are spelled out, because people
-- read this file with the sqlite3 shell when something went wrong.
--
-- Nothing is deleted by cascade: whoever removes a run says what goes with it,
-- and the ledger is the last to go.
--
-- In rows that can be long the short columns stand first, so that a list reads
-- one page of each row and leaves the overflow pages alone.

CREATE TABLE schema_version (
	version INTEGER PRIMARY KEY,	-- number of the file that was applied
	program TEXT NOT NULL		-- version of the program that applied it
) STRICT;

-- One request for pictures.
--
--   PENDING --first claim--> RUNNING --finish--> COMPLETED | FAILED
--      '---------- cancel ------'--------------> CANCELLED
--
-- A run whose job lost its runner stays RUNNING; it is the job that waits.
CREATE TABLE runs (
	id TEXT NOT NULL PRIMARY KEY,
	owner TEXT NOT NULL CHECK (owner <> ''),	-- every query is scoped by it
	status TEXT NOT NULL CHECK (status IN
	    ('PENDING', 'RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED')),
	mode TEXT NOT NULL,		-- easy_mode, custom_mode, task_specific_mode
	platform_name TEXT,		-- where the picture will be shown
	task_type TEXT,			-- NULL: none chosen
	preset_id TEXT,			-- the preset it was started from
	preset_type TEXT,		-- and that preset's kind
	created_ms INTEGER NOT NULL,	-- accepted
	started_ms INTEGER NOT NULL DEFAULT 0,	-- first claim
	completed_ms INTEGER NOT NULL DEFAULT 0,	-- end, whatever it was
	duration_ms INTEGER NOT NULL DEFAULT 0,	-- completed - started
	cost_nano INTEGER NOT NULL DEFAULT 0,	-- sum over the ledger, from the end on
	has_cost INTEGER NOT NULL DEFAULT 0,	-- 0: nothing was billed
	simulated INTEGER NOT NULL DEFAULT 0,	-- a simulated provider answered
	last_seq INTEGER NOT NULL DEFAULT 0,	-- number of its newest event
	version INTEGER NOT NULL DEFAULT 1,	-- grows with every change
	output_directory TEXT,		-- "data/runs/<id>", set at the end
	metadata_path TEXT,		-- of pipeline_metadata.json
	error_message TEXT,		-- why it failed or was cancelled
	prompt TEXT,			-- the user's words; NULL: none
	warnings TEXT,			-- JSON array, NULL until the end
	brand_kit TEXT,			-- JSON: submitted, in the end as used
	form TEXT,			-- JSON: the accepted request
	inputs TEXT			-- JSON: what the pipeline works from; frozen
) STRICT;

-- Lists, newest first; mode stands in the index so that filtering by it does
-- not touch the rows.
CREATE INDEX runs_by_owner
    ON runs (owner, created_ms DESC, id DESC, mode);
CREATE INDEX runs_by_owner_status
    ON runs (owner, status, created_ms DESC, id DESC, mode);
CREATE INDEX runs_by_time
    ON runs (created_ms DESC, id DESC);

-- How many runs there are, so that a list knows its total without counting.
-- Changed in the transaction that changes a run's status.
CREATE TABLE run_counts (
	owner TEXT NOT NULL,
	status TEXT NOT NULL,
	mode TEXT NOT NULL,
	n INTEGER NOT NULL CHECK (n >= 0),
	PRIMARY KEY (owner, status, mode)
) STRICT, WITHOUT ROWID;

-- The queue.  Every kind of work has the same life:
--
--   PENDING --claim--> RUNNING --finish--> COMPLETED | FAILED
--      ^  |               | |
--      |  '--- cancel ----|-'------------> CANCELLED
--      '-- release, lease lost ('-- lost too often --> FAILED)
CREATE TABLE jobs (
	id TEXT PRIMARY KEY,
	run_id TEXT NOT NULL REFERENCES runs (id),	-- whose channel it tells
	subject_id TEXT NOT NULL,	-- the run, refinement or caption itself
	kind TEXT NOT NULL CHECK (kind IN
	    ('generation', 'refinement', 'caption', 'assessment')),
	owner TEXT NOT NULL,		-- for fairness; equal to the run's
	state TEXT NOT NULL CHECK (state IN
	    ('PENDING', 'RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED')),
	priority INTEGER NOT NULL,	-- higher first
	due_ms INTEGER NOT NULL,	-- not to be claimed before
	attempts INTEGER NOT NULL DEFAULT 0,	-- claims since the last checkpoint
	fence INTEGER NOT NULL DEFAULT 0,	-- grows when it changes hands
	created_ms INTEGER NOT NULL,	-- its age in the queue
	started_ms INTEGER NOT NULL DEFAULT 0,	-- first claim
	ended_ms INTEGER NOT NULL DEFAULT 0,	-- terminal state reached
	deadline_after_ms INTEGER NOT NULL,	-- allowed from the first claim on
	deadline_ms INTEGER NOT NULL DEFAULT 0,	-- absolute, from the first claim
	lease_holder TEXT,		-- the process's life that has it
	lease_host TEXT,		-- where that process runs
	lease_boot_id TEXT,		-- since which boot of that host
	lease_life_file TEXT,		-- what it keeps flock'ed while alive
	lease_until_ms INTEGER NOT NULL DEFAULT 0,
	CHECK ((state = 'RUNNING') = (lease_holder IS NOT NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX jobs_by_run
    ON jobs (run_id, kind, created_ms);
-- Claim: priorities, within one the owners, of one the oldest job.
CREATE INDEX jobs_waiting
    ON jobs (priority, owner, created_ms, id, due_ms) WHERE state = 'PENDING';
-- The same, when owners are many: the oldest of somebody who runs nothing.
CREATE INDEX jobs_by_age
    ON jobs (priority, created_ms, id, owner, due_ms) WHERE state = 'PENDING';
-- When will something be due?
CREATE INDEX jobs_due
    ON jobs (due_ms) WHERE state = 'PENDING';
-- How many does an owner have running?
CREATE INDEX jobs_running
    ON jobs (owner) WHERE state = 'RUNNING';
-- Whose leases, and which are over?
CREATE INDEX jobs_leased
    ON jobs (lease_holder, lease_until_ms) WHERE state = 'RUNNING';

-- How many jobs wait and how many run; the other states are not counted.
CREATE TABLE job_counts (
	state TEXT PRIMARY KEY CHECK (state IN ('PENDING', 'RUNNING')),
	n INTEGER NOT NULL CHECK (n >= 0)
) STRICT, WITHOUT ROWID;

INSERT INTO job_counts (state, n) VALUES ('PENDING', 0), ('RUNNING', 0);

-- What a job will do, does and did: one row per planned stage.
CREATE TABLE stages (
	job_id TEXT NOT NULL REFERENCES jobs (id),
	name TEXT NOT NULL,
	ord REAL NOT NULL,		-- order number shown outside; 4.5 exists
	status TEXT NOT NULL CHECK (status IN
	    ('PENDING', 'RUNNING', 'COMPLETED', 'FAILED', 'SKIPPED')),
	started_ms INTEGER NOT NULL DEFAULT 0,
	completed_ms INTEGER NOT NULL DEFAULT 0,
	duration_ms INTEGER NOT NULL DEFAULT -1,	-- -1: not known yet
	input_tokens INTEGER NOT NULL DEFAULT 0,	-- these six: from the ledger,
	output_tokens INTEGER NOT NULL DEFAULT 0,	-- when the stage ends
	images INTEGER NOT NULL DEFAULT 0,	-- calls that were answered with one
	cost_nano INTEGER NOT NULL DEFAULT 0,
	model_id TEXT,			-- "a, b" when several were asked
	provider TEXT,
	message TEXT,			-- for people
	error_message TEXT,
	output TEXT,			-- JSON, with COMPLETED
	PRIMARY KEY (job_id, name)
) STRICT, WITHOUT ROWID;

-- Checkpoints: what one stage gave for one variant.
CREATE TABLE lane_outputs (
	job_id TEXT NOT NULL REFERENCES jobs (id),
	stage TEXT NOT NULL,
	variant INTEGER NOT NULL,	-- -1: the stage runs once for all
	ok INTEGER NOT NULL,		-- 0: the variant ended here
	started_ms INTEGER NOT NULL,
	ended_ms INTEGER NOT NULL,
	error TEXT,			-- a sentence, when not ok
	warnings TEXT,			-- JSON array
	output TEXT,			-- JSON
	PRIMARY KEY (job_id, stage, variant)
) STRICT, WITHOUT ROWID;

-- The ledger: one row per wire request, written before it is sent.
--
--   SENT --> ANSWERED | FAILED | UNKNOWN;  UNKNOWN --> ANSWERED
--
-- ANSWERED is final: what was paid stays booked.
CREATE TABLE model_calls (
	id TEXT NOT NULL PRIMARY KEY,
	job_id TEXT NOT NULL REFERENCES jobs (id),
	run_id TEXT NOT NULL REFERENCES runs (id),
	owner TEXT NOT NULL,		-- who pays
	stage TEXT NOT NULL,
	variant INTEGER NOT NULL,	-- -1: of a per-run stage
	purpose TEXT NOT NULL,		-- "style_guide/2" when asked several times
	attempt INTEGER NOT NULL,	-- from 1; retries and re-asks count
	ask INTEGER NOT NULL,		-- from 1; grows with each re-ask
	fence INTEGER NOT NULL,		-- of the claim that sent it
	state TEXT NOT NULL CHECK (state IN
	    ('SENT', 'ANSWERED', 'FAILED', 'UNKNOWN')),
	provider TEXT,
	model TEXT,
	idempotency_key TEXT,		-- sent along; shared by one ask's attempts
	request_hash TEXT,		-- what was asked
	estimate_nano INTEGER NOT NULL DEFAULT 0,	-- before it was sent
	sent_ms INTEGER NOT NULL,
	settled_ms INTEGER NOT NULL DEFAULT 0,
	http_status INTEGER NOT NULL DEFAULT 0,	-- 0: no answer
	prompt_tokens INTEGER NOT NULL DEFAULT 0,
	completion_tokens INTEGER NOT NULL DEFAULT 0,
	cached_tokens INTEGER NOT NULL DEFAULT 0,	-- part of prompt_tokens
	reasoning_tokens INTEGER NOT NULL DEFAULT 0,	-- part of completion_tokens
	image_in_tokens INTEGER NOT NULL DEFAULT 0,
	image_out_tokens INTEGER NOT NULL DEFAULT 0,
	cost_nano INTEGER NOT NULL DEFAULT 0,
	has_billed INTEGER NOT NULL DEFAULT 0,	-- the provider named the amount
	estimated INTEGER NOT NULL DEFAULT 0,	-- the usage figures are ours
	simulated INTEGER NOT NULL DEFAULT 0,	-- by a simulated provider
	fault TEXT,			-- name of the fault, NULL when answered
	error TEXT,			-- a sentence
	blobs TEXT,			-- JSON array of files holding big strings
	answer TEXT			-- JSON body of the answer
) STRICT;

CREATE UNIQUE INDEX model_calls_key
    ON model_calls (job_id, stage, variant, purpose, attempt);

-- The progress log; seq is gapless per run and in commit order.
CREATE TABLE events (
	run_id TEXT NOT NULL REFERENCES runs (id),
	seq INTEGER NOT NULL,		-- from 1, taken from runs.last_seq
	type TEXT NOT NULL,		-- stage_update, run_complete, run_error ...
	created_ms INTEGER NOT NULL,
	data TEXT NOT NULL,		-- JSON object
	PRIMARY KEY (run_id, seq)
) STRICT, WITHOUT ROWID;

-- First answers to POSTs that carried an Idempotency-Key.
CREATE TABLE idempotency (
	owner TEXT NOT NULL,
	route TEXT NOT NULL,
	key TEXT NOT NULL,		-- as sent by the client
	fingerprint TEXT NOT NULL,	-- over the decoded request
	http_status INTEGER NOT NULL,
	created_ms INTEGER NOT NULL,
	body TEXT NOT NULL,		-- the answer
	PRIMARY KEY (owner, route, key)
) STRICT, WITHOUT ROWID;

-- Content-addressed answers of analysis calls.
CREATE TABLE answer_cache (
	key TEXT PRIMARY KEY,		-- hash over everything that was asked
	created_ms INTEGER NOT NULL,
	answer TEXT NOT NULL		-- JSON
) STRICT, WITHOUT ROWID;

-- Who is alive, for the health pages.
CREATE TABLE processes (
	id TEXT PRIMARY KEY,		-- of this process's life
	role TEXT NOT NULL,		-- api, runner, push
	pid INTEGER NOT NULL,
	host TEXT NOT NULL,
	boot_id TEXT NOT NULL,
	started_ms INTEGER NOT NULL,
	heartbeat_ms INTEGER NOT NULL,	-- last sign of life
	stats TEXT			-- JSON object
) STRICT, WITHOUT ROWID;
