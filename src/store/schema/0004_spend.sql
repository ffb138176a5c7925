-- Schema 4: what was spent, kept beside the ledger so that limits can be held.
--
-- Two tables of sums over model_calls: by day and model for limits and lists,
-- by job for a job's own limit and for lists of runs.  Triggers keep them, so
-- they follow the ledger whoever writes it and in the same transaction; they
-- are never written by hand.  Whoever makes model_calls anew makes the
-- triggers anew.
--
-- What a row of the ledger holds of a limit:
--
--   SENT      its estimate, the most it can cost   reserved_nano
--   UNKNOWN   the part of it not booked            unknown_nano
--   ANSWERED, FAILED   what was booked             cost_nano
--
-- An UNKNOWN call may have been paid and nobody will ever say; what it holds
-- is let go only by a later answer, so the limits of its day stay safe.  It
-- does not weigh on other days: day is that of sending, in UTC.
--
-- The sums outlive what they sum: rows of deleted runs stay.

ALTER TABLE jobs ADD COLUMN	-- most the job may cost; 0: no limit of its own
	budget_nano INTEGER NOT NULL DEFAULT 0 CHECK (budget_nano >= 0);
ALTER TABLE jobs ADD COLUMN	-- what it will probably cost, told when it came
	estimate_nano INTEGER NOT NULL DEFAULT 0 CHECK (estimate_nano >= 0);

-- Those that have not ended: what is still to be spent on them.
CREATE INDEX jobs_open
    ON jobs (owner, estimate_nano, id) WHERE state IN ('PENDING', 'RUNNING');

CREATE TABLE spend_days (
	day INTEGER NOT NULL,		-- since 1970-01-01
	owner TEXT NOT NULL,		-- who pays
	provider TEXT NOT NULL,
	model TEXT NOT NULL,
	simulated INTEGER NOT NULL,	-- by simulated providers
	calls INTEGER NOT NULL,		-- wire requests
	answered INTEGER NOT NULL,	-- of them
	input_tokens INTEGER NOT NULL,
	output_tokens INTEGER NOT NULL,
	images INTEGER NOT NULL,	-- calls that were answered with one
	cost_nano INTEGER NOT NULL,
	reserved_nano INTEGER NOT NULL CHECK (reserved_nano >= 0),
	unknown_nano INTEGER NOT NULL CHECK (unknown_nano >= 0),
	PRIMARY KEY (day, owner, provider, model, simulated)
) STRICT, WITHOUT ROWID;

CREATE TABLE spend_jobs (
	job_id TEXT NOT NULL,
	day INTEGER NOT NULL,
	simulated INTEGER NOT NULL,
	run_id TEXT NOT NULL,
	owner TEXT NOT NULL,
	first_ms INTEGER NOT NULL,	-- when the first of them was sent
	calls INTEGER NOT NULL,
	answered INTEGER NOT NULL,
	input_tokens INTEGER NOT NULL,
	output_tokens INTEGER NOT NULL,
	images INTEGER NOT NULL,
	cost_nano INTEGER NOT NULL,
	reserved_nano INTEGER NOT NULL CHECK (reserved_nano >= 0),
	unknown_nano INTEGER NOT NULL CHECK (unknown_nano >= 0),
	PRIMARY KEY (job_id, day, simulated)
) STRICT, WITHOUT ROWID;

CREATE INDEX spend_jobs_by_day ON spend_jobs (day, owner);

-- The same sums straight from the ledger: what the tables must say.
CREATE VIEW ledger_figures AS
SELECT id, job_id, run_id, owner, sent_ms / 86400000 AS day,
    COALESCE(provider, '') AS provider, COALESCE(model, '') AS model,
    simulated, sent_ms,
    1 AS calls,
    state = 'ANSWERED' AS answered,
    prompt_tokens AS input_tokens,
    max(completion_tokens, image_out_tokens) AS output_tokens,
    state = 'ANSWERED' AND image_out_tokens > 0 AS images,
    cost_nano,
    CASE WHEN state = 'SENT' THEN estimate_nano ELSE 0 END AS reserved_nano,
    CASE WHEN state = 'UNKNOWN' THEN max(estimate_nano - cost_nano, 0)
	ELSE 0 END AS unknown_nano
FROM model_calls;

INSERT INTO spend_days
SELECT day, owner, provider, model, simulated, sum(calls), sum(answered),
    sum(input_tokens), sum(output_tokens), sum(images), sum(cost_nano),
    sum(reserved_nano), sum(unknown_nano)
FROM ledger_figures GROUP BY 1, 2, 3, 4, 5;

INSERT INTO spend_jobs
SELECT job_id, day, simulated, run_id, owner, min(sent_ms), sum(calls),
    sum(answered), sum(input_tokens), sum(output_tokens), sum(images),
    sum(cost_nano), sum(reserved_nano), sum(unknown_nano)
FROM ledger_figures GROUP BY 1, 2, 3;

-- A row that comes is added; one that changes or goes is taken away as it was,
-- while it is still that, and added as it has become.
CREATE TRIGGER spend_insert AFTER INSERT ON model_calls BEGIN
	INSERT INTO spend_days
	SELECT day, owner, provider, model, simulated,
	    calls, answered, input_tokens, output_tokens, images,
	    cost_nano, reserved_nano, unknown_nano
	FROM ledger_figures WHERE id = NEW.id
	ON CONFLICT (day, owner, provider, model, simulated) DO UPDATE SET
	    calls = calls + excluded.calls,
	    answered = answered + excluded.answered,
	    input_tokens = input_tokens + excluded.input_tokens,
	    output_tokens = output_tokens + excluded.output_tokens,
	    images = images + excluded.images,
	    cost_nano = cost_nano + excluded.cost_nano,
	    reserved_nano = reserved_nano + excluded.reserved_nano,
	    unknown_nano = unknown_nano + excluded.unknown_nano;
	INSERT INTO spend_jobs
	SELECT job_id, day, simulated, run_id, owner, sent_ms,
	    calls, answered, input_tokens, output_tokens, images,
	    cost_nano, reserved_nano, unknown_nano
	FROM ledger_figures WHERE id = NEW.id
	ON CONFLICT (job_id, day, simulated) DO UPDATE SET
	    first_ms = min(first_ms, excluded.first_ms),
	    calls = calls + excluded.calls,
	    answered = answered + excluded.answered,
	    input_tokens = input_tokens + excluded.input_tokens,
	    output_tokens = output_tokens + excluded.output_tokens,
	    images = images + excluded.images,
	    cost_nano = cost_nano + excluded.cost_nano,
	    reserved_nano = reserved_nano + excluded.reserved_nano,
	    unknown_nano = unknown_nano + excluded.unknown_nano;
END;

CREATE TRIGGER spend_update_old BEFORE UPDATE OF state, owner, provider, model,
    simulated, sent_ms, estimate_nano, cost_nano, prompt_tokens,
    completion_tokens, image_out_tokens ON model_calls BEGIN
	UPDATE spend_days SET
	    calls = spend_days.calls - f.calls,
	    answered = spend_days.answered - f.answered,
	    input_tokens = spend_days.input_tokens - f.input_tokens,
	    output_tokens = spend_days.output_tokens - f.output_tokens,
	    images = spend_days.images - f.images,
	    cost_nano = spend_days.cost_nano - f.cost_nano,
	    reserved_nano = spend_days.reserved_nano - f.reserved_nano,
	    unknown_nano = spend_days.unknown_nano - f.unknown_nano
	FROM (SELECT * FROM ledger_figures WHERE id = OLD.id) AS f
	WHERE spend_days.day = f.day
	AND spend_days.owner = f.owner
	AND spend_days.provider = f.provider
	AND spend_days.model = f.model
	AND spend_days.simulated = f.simulated;
	UPDATE spend_jobs SET
	    calls = spend_jobs.calls - f.calls,
	    answered = spend_jobs.answered - f.answered,
	    input_tokens = spend_jobs.input_tokens - f.input_tokens,
	    output_tokens = spend_jobs.output_tokens - f.output_tokens,
	    images = spend_jobs.images - f.images,
	    cost_nano = spend_jobs.cost_nano - f.cost_nano,
	    reserved_nano = spend_jobs.reserved_nano - f.reserved_nano,
	    unknown_nano = spend_jobs.unknown_nano - f.unknown_nano
	FROM (SELECT * FROM ledger_figures WHERE id = OLD.id) AS f
	WHERE spend_jobs.job_id = f.job_id
	AND spend_jobs.day = f.day
	AND spend_jobs.simulated = f.simulated;
END;

CREATE TRIGGER spend_update_new AFTER UPDATE OF state, owner, provider, model,
    simulated, sent_ms, estimate_nano, cost_nano, prompt_tokens,
    completion_tokens, image_out_tokens ON model_calls BEGIN
	INSERT INTO spend_days
	SELECT day, owner, provider, model, simulated,
	    calls, answered, input_tokens, output_tokens, images,
	    cost_nano, reserved_nano, unknown_nano
	FROM ledger_figures WHERE id = NEW.id
	ON CONFLICT (day, owner, provider, model, simulated) DO UPDATE SET
	    calls = calls + excluded.calls,
	    answered = answered + excluded.answered,
	    input_tokens = input_tokens + excluded.input_tokens,
	    output_tokens = output_tokens + excluded.output_tokens,
	    images = images + excluded.images,
	    cost_nano = cost_nano + excluded.cost_nano,
	    reserved_nano = reserved_nano + excluded.reserved_nano,
	    unknown_nano = unknown_nano + excluded.unknown_nano;
	INSERT INTO spend_jobs
	SELECT job_id, day, simulated, run_id, owner, sent_ms,
	    calls, answered, input_tokens, output_tokens, images,
	    cost_nano, reserved_nano, unknown_nano
	FROM ledger_figures WHERE id = NEW.id
	ON CONFLICT (job_id, day, simulated) DO UPDATE SET
	    first_ms = min(first_ms, excluded.first_ms),
	    calls = calls + excluded.calls,
	    answered = answered + excluded.answered,
	    input_tokens = input_tokens + excluded.input_tokens,
	    output_tokens = output_tokens + excluded.output_tokens,
	    images = images + excluded.images,
	    cost_nano = cost_nano + excluded.cost_nano,
	    reserved_nano = reserved_nano + excluded.reserved_nano,
	    unknown_nano = unknown_nano + excluded.unknown_nano;
END;

CREATE TRIGGER spend_delete BEFORE DELETE ON model_calls BEGIN
	UPDATE spend_days SET
	    calls = spend_days.calls - f.calls,
	    answered = spend_days.answered - f.answered,
	    input_tokens = spend_days.input_tokens - f.input_tokens,
	    output_tokens = spend_days.output_tokens - f.output_tokens,
	    images = spend_days.images - f.images,
	    cost_nano = spend_days.cost_nano - f.cost_nano,
	    reserved_nano = spend_days.reserved_nano - f.reserved_nano,
	    unknown_nano = spend_days.unknown_nano - f.unknown_nano
	FROM (SELECT * FROM ledger_figures WHERE id = OLD.id) AS f
	WHERE spend_days.day = f.day
	AND spend_days.owner = f.owner
	AND spend_days.provider = f.provider
	AND spend_days.model = f.model
	AND spend_days.simulated = f.simulated;
	UPDATE spend_jobs SET
	    calls = spend_jobs.calls - f.calls,
	    answered = spend_jobs.answered - f.answered,
	    input_tokens = spend_jobs.input_tokens - f.input_tokens,
	    output_tokens = spend_jobs.output_tokens - f.output_tokens,
	    images = spend_jobs.images - f.images,
	    cost_nano = spend_jobs.cost_nano - f.cost_nano,
	    reserved_nano = spend_jobs.reserved_nano - f.reserved_nano,
	    unknown_nano = spend_jobs.unknown_nano - f.unknown_nano
	FROM (SELECT * FROM ledger_figures WHERE id = OLD.id) AS f
	WHERE spend_jobs.job_id = f.job_id
	AND spend_jobs.day = f.day
	AND spend_jobs.simulated = f.simulated;
END;
