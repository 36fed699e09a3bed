-- The manifest: what the extension consists of, in the order in which it is installed. Only prose
-- and \ir lines, and nothing is in the extension that is not listed here.
--
-- A workflow is defined (definition), a run of it is started (run), its ready steps become tasks in
-- pgmq queues (queue), workers claim tasks and report them (task, worker), and whoever wants to know
-- looks (inspect).

-- Base: the schema, settings, the clock, ids.
\ir base/schema.sql
\ir base/settings.sql
\ir base/limits.sql
\ir base/clock.sql
\ir base/texts.sql
\ir base/uuid.sql
\ir base/version.sql

-- Definition: workflows, their versions, steps and edges.
\ir definition/tables.sql
\ir definition/lock.sql
\ir definition/cycle.sql
\ir definition/validate.sql
\ir definition/canonical.sql
\ir definition/shown.sql
\ir definition/store.sql
\ir definition/define.sql
\ir definition/create.sql
\ir definition/add_step.sql
\ir definition/get.sql
\ir definition/list.sql
\ir definition/delete.sql

-- Tables and row types of everything that runs.
\ir queue/tables.sql
\ir run/tables.sql
\ir task/tables.sql
\ir task/types.sql
\ir worker/tables.sql

-- Queue: where tasks wait, and the only statements that touch pgmq's tables.
\ir queue/trust.sql
\ir queue/ensure.sql
\ir queue/messages.sql
\ir queue/notify.sql
\ir queue/setup.sql

-- Run: start it, move it on, end it, steer it, look at it.
\ir run/start.sql
\ir run/advance.sql
\ir run/finish.sql
\ir run/start_ready_steps.sql
\ir run/hold.sql
\ir run/cancel.sql
\ir run/pause.sql
\ir run/resume.sql
\ir run/retry.sql
\ir run/delete.sql
\ir run/prune.sql
\ir run/look.sql
\ir run/status.sql
\ir run/list.sql

-- Task: claim it, report it, keep it, hand it back, and what happens when nobody does.
\ir task/queue_tasks.sql
\ir task/input.sql
\ir task/claim.sql
\ir task/lapse.sql
\ir task/report.sql
\ir task/complete.sql
\ir task/hand_over.sql
\ir task/fail.sql
\ir task/extend.sql
\ir task/hold.sql
\ir task/release.sql
\ir task/sweep.sql
\ir task/failures.sql

-- Worker: who has been working.
\ir worker/register.sql
\ir worker/stop.sql
\ir worker/seen.sql

-- Inspect: views for people, the rules that must always hold, and what is not well.
\ir inspect/views.sql
\ir inspect/check_state.sql
\ir inspect/doctor.sql

-- Mend: after a restore, a copy, or an accident.
\ir mend/adopt.sql
\ir mend/send_again.sql
\ir mend/repair.sql
\ir mend/rebuild_queues.sql

-- Access: who may call what, and what pg_dump carries.
\ir access/configure.sql
\ir access/levels.sql
\ir access/grant.sql
\ir access/revoke.sql
\ir access/rights.sql
\ir access/pgmq.sql
\ir access/backup.sql
