/*
 * One job, two runners, a user who cancels: claim, lease, fence, ledger.
 *
 * The job has one step, which needs one model call.  Whatever is one unit of the
 * store is one d_step here; between any two of them anything may happen: a
 * runner dies (a bounded number of times) and comes back as another life, a lease
 * ends although its holder lives (a process that is frozen or slow is simply one
 * that is not scheduled), the user cancels, the provider answers into the void.
 *
 *   here            there
 *   claim           store_claim()           src/store/job.c     claim_unit, take
 *   hand_back       store_release()         src/store/job.c     release_unit
 *   expire          store_expire_leases()   src/store/end.c     expire_unit
 *     who may       life_recover()          src/runner/life.c   recover_holder
 *   cancel          store_cancel_run()      src/store/end.c     cancel_unit
 *   finish          store_finish()          src/store/end.c     finish_unit
 *   end_calls       part of every end       src/store/end.c     end_calls
 *   forget_sent     store_calls_unknown()   src/store/ledger.c  unknown_unit
 *   begin_call      store_call_begin()      src/store/ledger.c  begin_unit
 *   settle          store_call_settle()     src/store/ledger.c  update_call
 *   checkpoint      store_progress()        src/store/stage.c   progress_unit
 *   FENCE_HOLDS     in all fenced units     src/store/job.c     job_check_fence
 *   Runner          src/runner/runner.c run_job, src/pipeline/job.c,
 *                   and the state machine of a call, src/model/call.c
 *
 * What must hold:
 *
 *   assertions      a fenced write is accepted from the claim that has the job
 *                   and from no other; a job is claimed by one at a time; its end
 *                   is told once, and no state that ends it is left; ANSWERED is
 *                   final; an answer that arrived is booked, also by one who has
 *                   lost the job; no call is sent without its row, none while an
 *                   earlier one is still SENT, none that the ledger had answered
 *                   when the job was claimed
 *   ltl ends        the job ends, if everybody who can go on goes on
 *
 * Names in capitals that begin with WITHOUT_ or WITH_ break one rule each; the
 * script "check" shows that every one of them is noticed.  One rule is kept
 * twice: the fence grows with a claim and with a lost lease, and either of them
 * alone would do; only without both a stale write is accepted.
 */

#ifndef CRASHES
#define CRASHES 2		/* of runners */
#endif
#define LIVES (2 + CRASHES)
#ifndef EXPIRIES
#define EXPIRIES 2		/* leases that end under a living holder */
#endif
#ifndef HAND_BACKS
#define HAND_BACKS 1		/* orderly ends with the job in hand */
#endif
#define MAX_ATTEMPTS 2		/* runner.max_attempts */
#define UNKNOWN_RETRIES 1	/* src/model/call.c */
#define ROWS 3			/* of the ledger; checked below to be enough */

mtype = { PENDING, RUNNING, COMPLETED, FAILED, CANCELLED };	/* jobs.state */
mtype = { NO_ROW, SENT, ANSWERED, UNKNOWN };		/* model_calls.state */

/* the row of the job */
mtype state = PENDING;
byte fence;
byte holder;			/* the life that has the lease; 0: nobody */
bool lease_over;
byte attempts;			/* claims since the last checkpoint */
bool has_output;		/* lane_outputs */
byte told;			/* terminal events */

/* the ledger: attempts of one ask */
mtype call[ROWS] = NO_ROW;
byte call_fence[ROWS];
byte n_calls;

/* the host */
bool locked[LIVES + 1];		/* its life file is flock'ed: it lives */
byte lives, crashes, expiries, hand_backs;

/* what an onlooker knows who sees everything; no program reads these */
byte claim_now;			/* which claim has the job; 0: none */
byte claims;
bool answered_before;		/* by the ledger, when the job was claimed */

#define ENDED (state == COMPLETED || state == FAILED || state == CANCELLED)

#ifdef WITHOUT_FENCE
#define FENCE_HOLDS (state == RUNNING)
#else
#define FENCE_HOLDS (state == RUNNING && fence == my_fence)
#endif

/* --- the units of the store ------------------------------------------------ */

/* The job ends: whoever ends it tells it, and nothing is left SENT. */
inline end(how)
{
	assert(!ENDED);
	state = how;
	holder = 0;
	lease_over = false;
	claim_now = 0;
	told++;
	end_calls();
}

inline end_calls()
{
	i = 0;
	do
	:: i < n_calls && call[i] == SENT -> call[i] = UNKNOWN; i++
	:: i < n_calls && call[i] != SENT -> i++
	:: i == n_calls -> break
	od;
	i = 0
}

inline claim()
{
	assert(claim_now == 0);
	state = RUNNING;
	attempts++;
#ifndef WITHOUT_FENCE_AT_CLAIM
	fence++;
#endif
	holder = my_life;
	lease_over = false;
	my_fence = fence;
	claims++;
	claim_now = claims;
	my_claim = claims;
	answered_before = false;
	i = 0;
	do
	:: i < n_calls ->
		answered_before = answered_before || call[i] == ANSWERED;
		i++
	:: i == n_calls -> break
	od;
	i = 0
}

/* A lease is lost: the job waits again, or has been tried too often. */
inline expire()
{
	claim_now = 0;
	if
	:: attempts >= MAX_ATTEMPTS ->
#ifdef WITHOUT_TELLING
		state = FAILED;
		holder = 0;
		end_calls()
#else
		end(FAILED)
#endif
	:: attempts < MAX_ATTEMPTS ->
		state = PENDING;
		holder = 0;
		lease_over = false
	fi;
#ifndef WITHOUT_FENCE_AT_LOSS
	fence++
#else
	skip
#endif
}

/* Each of these is accepted or not; one that is must come from the claim that
 * has the job. */
inline fenced()
{
	ok = FENCE_HOLDS;
	assert(!ok || my_claim == claim_now)
}

inline hand_back()
{
	fenced();
	if
	:: ok ->
		state = PENDING;
		holder = 0;
		lease_over = false;
		attempts--;
		claim_now = 0
	:: else
	fi
}

/* Calls of earlier claims whose fate nobody knows. */
inline forget_sent()
{
	fenced();
	i = 0;
	do
	:: ok && i < n_calls ->
#ifdef WITH_ALL_FORGOTTEN
		if
		:: call_fence[i] < my_fence ->
			assert(call[i] != ANSWERED);
			call[i] = UNKNOWN
		:: else
		fi;
#else
#ifndef WITHOUT_FORGETTING
		if
		:: call_fence[i] < my_fence && call[i] == SENT ->
			call[i] = UNKNOWN
		:: else
		fi;
#endif
#endif
		i++
	:: else -> break
	od;
	i = 0
}

inline begin_call()
{
	fenced();
	if
	:: ok ->
		i = 0;
		do
		:: i < n_calls -> assert(call[i] != SENT); i++
		:: i == n_calls -> break
		od;
		assert(n_calls < ROWS);
		mine = n_calls;
		n_calls++;
		call[mine] = SENT;
		call_fence[mine] = my_fence;
		i = 0
	:: else
	fi
}

/* Not fenced: who was answered books it, whoever has the job by now. */
inline settle(how)
{
	if
#ifdef WITH_FENCED_SETTLE
	:: !FENCE_HOLDS -> skip
	:: FENCE_HOLDS ->
#else
	:: true ->
#endif
		assert(call[mine] != ANSWERED);
		call[mine] = how
	fi
}

inline checkpoint()
{
	fenced();
	if
	:: ok -> has_output = true; attempts = 1
	:: else
	fi
}

inline finish(how)
{
#ifdef WITHOUT_CHECK_AT_THE_END
	ok = true;
#else
	fenced();
#endif
	if
	:: ok -> end(how)
	:: else
	fi
}

/* --- a runner ---------------------------------------------------------------- */

/* What the ledger says of the ask: its answer, or how often it has none. */
inline read_ledger()
{
	found = false;
	unknowns = 0;
#ifndef WITHOUT_LEDGER
	i = 0;
	do
	:: i < n_calls ->
		if
		:: call[i] == ANSWERED -> found = true
		:: call[i] == UNKNOWN -> unknowns++
		:: else
		fi;
		i++
	:: i == n_calls -> break
	od;
	i = 0
#endif
}

/* Between any two units a runner may die. */
#define OR_DIE :: d_step { crashes < CRASHES -> crashes++ }; goto die

#ifdef WITHOUT_RECOVERY
#define MAY_BE_TAKEN false
#else
/* The lock of a dead holder, or the end of the lease of one that lives. */
#define MAY_BE_TAKEN (state == RUNNING && holder != my_life &&	\
	(!locked[holder] || lease_over))
#endif

proctype Runner()
{
	byte my_life, my_fence, my_claim, mine, i, unknowns;
	bool ok, found;

begin_life:
	true;		/* spin lets nobody jump to a d_step */
	d_step {
		lives++;
		assert(lives <= LIVES);
		my_life = lives;
		locked[my_life] = true
	}

look:
	true;
	d_step {	/* what it knew of an earlier job */
		my_fence = 0; my_claim = 0; mine = 0; unknowns = 0;
		ok = false; found = false
	}
	if
#ifdef WITH_SLOW_CLAIM
	:: state == PENDING; d_step { claim() }
#else
	:: d_step { state == PENDING -> claim() }
#endif
	:: d_step { MAY_BE_TAKEN -> expire() }; goto look
	:: ENDED -> goto stop
	fi;

	/* work_load(): what was on its way when an earlier holder vanished */
	if
	:: d_step { true -> forget_sent() }
	OR_DIE
	fi;
	if
	:: !ok -> goto look
	:: ok && has_output -> goto done
	:: ok && !has_output -> d_step { read_ledger() }
	fi;

ask:
	if
	:: found -> goto keep
	:: !found && unknowns > UNKNOWN_RETRIES -> goto give_up
	:: !found && unknowns <= UNKNOWN_RETRIES
	:: d_step { hand_backs < HAND_BACKS -> hand_backs++; hand_back() };
		goto look	/* this process is to end */
	OR_DIE
	fi;
	assert(!answered_before || my_claim != claim_now);
#ifdef WITH_ROW_AFTER_SENDING
	mine = n_calls;
#else
	if
	:: d_step { true -> begin_call() }
	OR_DIE
	fi;
	if
	:: !ok -> goto look
	:: ok
	fi;
#endif
	/* It goes onto the wire; the provider may charge for it. */
	assert(mine < ROWS && call[mine] != NO_ROW);
	if
	:: d_step { true -> settle(ANSWERED); assert(call[mine] == ANSWERED) }
	:: d_step { true -> settle(UNKNOWN) };	/* time-out, reset */
		unknowns++;
		goto ask
	OR_DIE				/* answered or not */
	fi;

keep:
	if
	:: d_step { true -> checkpoint() }
	OR_DIE
	fi;
	if
	:: !ok -> goto look
	:: ok
	fi;

done:
	if
	:: d_step { true -> finish(COMPLETED) }
	OR_DIE
	fi;
	goto look;

give_up:
	if
	:: d_step { true -> finish(FAILED) }
	OR_DIE
	fi;
	goto look;

die:
	locked[my_life] = false;	/* the kernel does that */
	goto begin_life;

stop:
	true;
	d_step {
		assert(told == 1);
		locked[my_life] = false
	}
}

/* --- everybody else ---------------------------------------------------------- */

/* POST .../cancel, or not. */
proctype User()
{
	byte i;

	if
	:: d_step {
#ifndef WITH_LATE_CANCEL
		!ENDED ->
#else
		true ->
#endif
			end(CANCELLED);
			fence++
		}
	:: true
	fi
}

/* Time goes on while somebody who lives does not. */
proctype Clock()
{
end_of_time:
	do
	:: d_step { state == RUNNING && !lease_over && expiries < EXPIRIES ->
		expiries++; lease_over = true }
	:: ENDED -> break
	od
}

init {
	atomic { run Runner(); run Runner(); run User(); run Clock() }
}

ltl ends { <> ENDED }
