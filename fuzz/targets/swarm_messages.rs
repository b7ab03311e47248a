#![cfg_attr(fuzzing, no_main)]

bzzz_fuzz::target!(bzzz_fuzz::swarm_messages);
