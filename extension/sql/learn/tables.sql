create table quantumflow.policies (
  workflow_slug      text collate "C" not null,
  number             int not null,
  level              text not null,
  state              text not null,
  base_version       int not null,
  tuned_version      int not null,
  probes             int[] not null default '{}',
  preserve_structure boolean not null,
  changes            jsonb not null,
  predicted_gain     numeric,
  secret             uuid not null,
  wins               int not null default 0,
  losses             int not null default 0,
  reason             text,
  made_at            timestamptz not null,
  adopted_at         timestamptz,
  decided_at         timestamptz,
  constraint policies_pkey primary key (workflow_slug, number),
  constraint policies_level_known check (level in ('basic', 'advanced', 'aggressive')),
  constraint policies_state_known check (state in ('observing', 'proposed', 'trial', 'adopted', 'rejected', 'rolled_back', 'superseded')),
  constraint policies_ended_have_a_time check ((state in ('rejected', 'rolled_back', 'superseded')) = (decided_at is not null)),
  constraint policies_changes_is_array check (jsonb_typeof(changes) = 'array'),
  constraint policies_wins_not_negative check (wins >= 0 and losses >= 0)
);

-- At most one is tried, or adopted, at a time.
create unique index policies_one_at_work on quantumflow.policies (workflow_slug)
  where state in ('observing', 'trial', 'adopted');

comment on table quantumflow.policies is
'Other settings for a workflow that its past speaks for, and what came of them: one row per proposal. What is tried or adopted is a version of the workflow
with those settings.';
comment on column quantumflow.policies.workflow_slug is 'The workflow.';
comment on column quantumflow.policies.number is '1, 2, 3 and so on.';
comment on column quantumflow.policies.level is 'basic, advanced or aggressive: what it may change.';
comment on column quantumflow.policies.state is
'observing: new runs have other sizes of chunks in turn, to see what a call takes and what an item. proposed: nothing was done yet. trial: half of the new runs have the tuned version. adopted: all of them, but for half of every tenth pair. rejected: the trial
went against it, or did not decide. rolled_back: after it had been adopted, or by hand. superseded: the workflow was defined otherwise meanwhile, or another policy took its place.';
comment on column quantumflow.policies.base_version is 'The version that it changes.';
comment on column quantumflow.policies.tuned_version is 'The version with its changes.';
comment on column quantumflow.policies.probes is 'While it observes: the versions that new runs have in turn.';
comment on column quantumflow.policies.preserve_structure is 'Whether steps and what they wait for are as they were.';
comment on column quantumflow.policies.changes is 'What it changes, and why: rows of recommendations(), as objects.';
comment on column quantumflow.policies.predicted_gain is 'The share of a run''s time that it is predicted to save; null: nobody knows.';
comment on column quantumflow.policies.secret is 'Decides, with a pair''s number, which of its two runs has the tuned version: nobody can foretell it.';
comment on column quantumflow.policies.wins is 'How many pairs the tuned version has won since it was last put to trial or adopted.';
comment on column quantumflow.policies.losses is 'How many it has lost.';
comment on column quantumflow.policies.reason is 'Why it is in this state.';
comment on column quantumflow.policies.made_at is 'When it was proposed.';
comment on column quantumflow.policies.adopted_at is 'When it was adopted first; null: it never was.';
comment on column quantumflow.policies.decided_at is 'When it ended: rejected, rolled back or superseded.';

create table quantumflow._ticket_rolls (
  workflow_slug text collate "C" not null,
  number        int not null,
  roll          int not null,
  taken         bigint not null default 0,
  constraint _ticket_rolls_pkey primary key (workflow_slug, number, roll)
) with (fillfactor = 50);

comment on table quantumflow._ticket_rolls is
'Where the starts of a workflow with a policy take tickets: two that follow one another on a roll are a pair. Several rolls, so that a start takes one that
nobody holds, and waits for nobody.';
comment on column quantumflow._ticket_rolls.workflow_slug is 'The workflow.';
comment on column quantumflow._ticket_rolls.number is 'The policy.';
comment on column quantumflow._ticket_rolls.roll is 'The roll, from 1.';
comment on column quantumflow._ticket_rolls.taken is 'How many tickets were taken from it.';

create table quantumflow._policy_runs (
  run_id        uuid not null,
  workflow_slug text collate "C" not null,
  number        int not null,
  roll          int not null,
  ticket        bigint not null,
  is_tuned      boolean not null,
  is_paired     boolean not null,
  constraint _policy_runs_pkey primary key (workflow_slug, number, run_id)
);

comment on table quantumflow._policy_runs is 'Runs that were started under a policy, and of which it has not learned yet.';
comment on column quantumflow._policy_runs.run_id is 'The run; it may be gone by now.';
comment on column quantumflow._policy_runs.workflow_slug is 'The workflow.';
comment on column quantumflow._policy_runs.number is 'The policy.';
comment on column quantumflow._policy_runs.roll is 'The roll of its ticket.';
comment on column quantumflow._policy_runs.ticket is 'The ticket, from 0: an even one and the next are a pair.';
comment on column quantumflow._policy_runs.is_tuned is 'Whether it has the tuned version.';
comment on column quantumflow._policy_runs.is_paired is 'Whether it is compared with the other one of its pair.';

create table quantumflow.policy_pairs (
  workflow_slug text collate "C" not null,
  number        int not null,
  pair          int not null,
  base_run_id   uuid not null,
  tuned_run_id  uuid not null,
  base_seconds  double precision,
  tuned_seconds double precision,
  outcome       text not null,
  reason        text,
  at            timestamptz not null,
  constraint policy_pairs_pkey primary key (workflow_slug, number, pair),
  constraint policy_pairs_outcome_known check (outcome in ('won', 'lost', 'dropped'))
);

comment on table quantumflow.policy_pairs is 'What came of each pair of runs: one of the base version, one of the tuned one.';
comment on column quantumflow.policy_pairs.workflow_slug is 'The workflow.';
comment on column quantumflow.policy_pairs.number is 'The policy.';
comment on column quantumflow.policy_pairs.pair is 'In order of their starts, from 1.';
comment on column quantumflow.policy_pairs.base_run_id is 'The run of the base version; it may be gone by now.';
comment on column quantumflow.policy_pairs.tuned_run_id is 'The run of the tuned version; it may be gone by now.';
comment on column quantumflow.policy_pairs.base_seconds is 'How long that run took, from when its first step could be claimed; null: it did not complete.';
comment on column quantumflow.policy_pairs.tuned_seconds is 'How long the tuned one took.';
comment on column quantumflow.policy_pairs.outcome is 'won: the tuned one was faster. lost: it was slower, or failed. dropped: the two say nothing.';
comment on column quantumflow.policy_pairs.reason is 'Why the pair was dropped, or lost without two times.';
comment on column quantumflow.policy_pairs.at is 'When it was counted.';

create table quantumflow._policy_times (
  workflow_slug text collate "C" not null,
  number        int not null,
  run_id        uuid not null,
  is_tuned      boolean not null,
  seconds       double precision not null,
  constraint _policy_times_pkey primary key (workflow_slug, number, run_id)
);

comment on table quantumflow._policy_times is 'How long the latest runs under a policy took, 40 of each version: what guards and alarms compare with.';
comment on column quantumflow._policy_times.workflow_slug is 'The workflow.';
comment on column quantumflow._policy_times.number is 'The policy.';
comment on column quantumflow._policy_times.run_id is 'The run.';
comment on column quantumflow._policy_times.is_tuned is 'Whether it had the tuned version.';
comment on column quantumflow._policy_times.seconds is 'How long it took.';
