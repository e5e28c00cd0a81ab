-- What wrk sends: OPERATION names it, and START is the number of the first row it is about.
local operation, number = os.getenv("OPERATION"), tonumber(os.getenv("START"))
local headers = { ["Content-Type"] = "application/json" }

request = function()
  number = number + 1
  if operation == "POST" then
    local body = string.format('{"title":"Title %d","slug":"made-%d","body":"A body."}', number, number)
    return wrk.format("POST", "/articles", headers, body)
  end
  local path = string.format("/articles/00000000-0000-0000-0000-%012x", number)
  if operation == "PATCH" then
    return wrk.format("PATCH", path, headers, string.format('{"title":"Changed %d"}', number))
  end
  return wrk.format(operation, path)
end
