-- Which request asked for a turn: what the log, the model's provider and a tracing system know it by.

alter table turns
  -- {"request_id", "traceparent", "tracestate"}: a run that begins later, and elsewhere, passes them on.
  add column trace jsonb;
