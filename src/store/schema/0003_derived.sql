-- Schema 3: what is made from the pictures of a finished run.
--
-- Refinements and captions have rows of their own and jobs in the one queue
-- (jobs.subject_id is their id; kind says which table).  The run's row is left
-- as it ended.  All paths are relative to the run's directory.

-- An edited picture.
CREATE TABLE refinements (
	id TEXT NOT NULL PRIMARY KEY,
	run_id TEXT NOT NULL REFERENCES runs (id),
	owner TEXT NOT NULL CHECK (owner <> ''),	-- equal to the run's
	status TEXT NOT NULL CHECK (status IN
	    ('PENDING', 'RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED')),
	type TEXT NOT NULL,		-- subject, prompt
	parent_image_id TEXT NOT NULL,	-- image_<n>, or id of a refinement
	parent_image_type TEXT NOT NULL,	-- original, refinement
	generation_index INTEGER NOT NULL DEFAULT -1,	-- as sent; -1: not sent
	root_index INTEGER NOT NULL,	-- the variant the chain began with
	created_ms INTEGER NOT NULL,
	started_ms INTEGER NOT NULL DEFAULT 0,	-- first claim
	completed_ms INTEGER NOT NULL DEFAULT 0,	-- end, whatever it was
	cost_nano INTEGER NOT NULL DEFAULT 0,	-- of its job's ledger rows
	has_cost INTEGER NOT NULL DEFAULT 0,	-- 0: nothing was billed
	simulated INTEGER NOT NULL DEFAULT 0,
	noise INTEGER NOT NULL DEFAULT -1,	-- -1: not assessed, 0: clean, 1: noisy
	version INTEGER NOT NULL DEFAULT 1,	-- grows with every change
	parent_image_path TEXT NOT NULL,	-- the picture that is edited
	image_path TEXT,		-- what came of it; NULL: nothing
	reference_path TEXT,		-- uploaded for it
	mask_path TEXT,			-- uploaded for it
	summary TEXT,
	error_message TEXT,
	error_type TEXT,
	prompt TEXT,			-- the user's words
	instructions TEXT,
	inputs TEXT NOT NULL		-- JSON: what the pipeline works from; frozen
) STRICT;

CREATE INDEX refinements_by_run
    ON refinements (run_id, created_ms, id);

-- A text for a picture.
CREATE TABLE captions (
	id TEXT NOT NULL PRIMARY KEY,
	run_id TEXT NOT NULL REFERENCES runs (id),
	owner TEXT NOT NULL CHECK (owner <> ''),	-- equal to the run's
	status TEXT NOT NULL CHECK (status IN
	    ('PENDING', 'RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED')),
	image_id TEXT NOT NULL,		-- image_<n>, or refinement_<id>
	number INTEGER NOT NULL CHECK (number >= 0),	-- its version, per picture
	model_id TEXT NOT NULL,
	writer_only INTEGER NOT NULL DEFAULT 0,
	source_number INTEGER NOT NULL DEFAULT -1,	-- whose brief; -1: its own
	created_ms INTEGER NOT NULL,
	started_ms INTEGER NOT NULL DEFAULT 0,
	completed_ms INTEGER NOT NULL DEFAULT 0,
	cost_nano INTEGER NOT NULL DEFAULT 0,
	has_cost INTEGER NOT NULL DEFAULT 0,
	simulated INTEGER NOT NULL DEFAULT 0,
	truncated INTEGER NOT NULL DEFAULT 0,	-- the text was still cut off
	version INTEGER NOT NULL DEFAULT 1,	-- grows with every change of the row
	file_path TEXT,			-- of the text
	error_message TEXT,
	error_type TEXT,
	settings TEXT NOT NULL,		-- JSON: as asked for, in the end as used
	usage TEXT,			-- JSON
	text TEXT,
	brief TEXT,			-- JSON
	inputs TEXT NOT NULL,		-- JSON: what the pipeline works from; frozen
	UNIQUE (run_id, image_id, number)
) STRICT;

-- One job for each refinement and caption; noise checks one after another.
CREATE INDEX jobs_by_subject
    ON jobs (subject_id, kind, created_ms);
