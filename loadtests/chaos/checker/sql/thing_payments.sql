select concat_ws(' ', state, debit, credit, amount, asset, provider)
from payments where tenant_id = $1 and event_id = $2::uuid
