-- A running answer is stored anew twice a second, and to compress it each time was nearly half of PostgreSQL's work while
-- answers are written. So a turn is stored as it is for as long as it fits on a page; a longer one is compressed as before.
alter table turns set (toast_tuple_target = 8160);
