-- The index in whose place turns_of_conversation is.
drop index turns_in_order;
