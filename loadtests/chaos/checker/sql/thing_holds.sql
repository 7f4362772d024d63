select concat_ws(' ', debit, credit, asset, amount, captured, released, amount_left, state)
from holds where tenant_id = $1 and event_id = $2::uuid
