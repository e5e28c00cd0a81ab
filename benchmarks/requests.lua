-- What wrk sends: OPERATION names it, and START is the number of the first row it is about.
local operation, number = os.getenv("OPERATION"), tonumber(os.getenv("START"))
local begun = os.time() -- so that no load changes a row to what another changed it to before
local headers = { ["Content-Type"] = "application/json" }

local function article()
  number = number + 1
  return string.format('{"title":"Title %d","slug":"made-%d","body":"A body."}', number, number)
end

request = function()
  if operation == "POST" then
    return wrk.format("POST", "/articles", headers, article())
  end
  if operation == "batch of 1000" then
    local articles = {}
    for place = 1, 1000 do
      articles[place] = article()
    end
    local body = "[" .. table.concat(articles, ",") .. "]"
    return wrk.format("POST", "/articles/batch", headers, body)
  end
  number = number + 1
  local path = string.format("/articles/00000000-0000-0000-0000-%012x", number)
  if operation == "PATCH" then
    local body = string.format('{"title":"Changed %d at %d"}', number, begun)
    return wrk.format("PATCH", path, headers, body)
  end
  return wrk.format(string.match(operation, "%u+"), path)
end
